package f5trailer

import (
	"bytes"
	"reflect"
	"testing"
)

func seedTrailers(f *testing.F) {
	for _, v := range append(vectors(), vectorH) {
		f.Add(v.trailer)
	}
	for _, rows := range [][]decodeRow{legacyRows(), dptRows()} {
		for _, row := range rows {
			f.Add(row.in)
		}
	}
}

func seedFrames(f *testing.F) {
	for _, v := range append(vectors(), vectorH) {
		f.Add(cat(v.packet, v.trailer), 0)
	}
	for _, row := range append(matrixRows(), oddRows()...) {
		f.Add(row.frame, row.cut)
	}
}

// encodable is what the encoder can carry of a decoded trailer.
func encodable(t Trailer) Trailer {
	t.Unknown, t.OrigFCS, t.HasOrigFCS = nil, 0, false
	if t.Format == Legacy {
		t.TLS = nil
		if t.HasLow {
			t.Low.Version = 1
		}
		if t.HasMedium {
			t.Medium.Version = 3
		}
	}
	return t
}

// checkDecoded holds for every trailer that decoded without an error.
func checkDecoded(t *testing.T, trailer []byte, got *Trailer) {
	checkPeek(t, trailer, got)
	again, err := got.AppendTo(nil)
	if err != nil {
		return // outside the encoder's domain
	}
	var second Trailer
	if err := Decode(again, &second); err != nil {
		t.Fatalf("decode what was encoded: %v\n%x", err, again)
	}
	if want := encodable(*got); !reflect.DeepEqual(want, second) { // cmp would slow the fuzzer down
		t.Fatalf("(-first +second):\n%s", diff(want, second))
	}
}

func FuzzDecode(f *testing.F) {
	seedTrailers(f)
	f.Fuzz(func(t *testing.T, trailer []byte) {
		before := bytes.Clone(trailer)
		var got Trailer
		err := Decode(trailer, &got)
		if !bytes.Equal(before, trailer) {
			t.Fatal("the input was changed")
		}
		_, _ = Peek(trailer, DPT)
		_, _ = Peek(trailer, Legacy)
		if err == nil {
			checkDecoded(t, trailer, &got)
		}
	})
}

func FuzzFind(f *testing.F) {
	seedFrames(f)
	f.Fuzz(func(t *testing.T, frame []byte, cut int) {
		offset, format, ok := Find(frame, len(frame)+cut)
		switch {
		case !ok:
			if offset != 0 || format != 0 {
				t.Fatalf("not found, yet %d, %s", offset, format)
			}
		case cut != 0:
			t.Fatal("found in a frame cut short")
		case offset < 14 || len(frame)-offset < minLegacyBlock:
			t.Fatalf("found at %d of %d", offset, len(frame))
		case (format == DPT) != hasMagic(frame[offset:]):
			t.Fatalf("%s at %x", format, frame[offset:])
		case format == Legacy && (frame[offset] < typeLow || frame[offset] > typeHigh):
			t.Fatalf("legacy at %x", frame[offset:])
		}
	})
}

func FuzzDecodeFrame(f *testing.F) {
	seedFrames(f)
	f.Fuzz(func(t *testing.T, frame []byte, cut int) {
		var got Trailer
		offset, ok, err := DecodeFrame(frame, len(frame)+cut, &got)
		at, format, found := Find(frame, len(frame)+cut)
		if at != offset || found != ok || ok && format != got.Format {
			t.Fatalf("DecodeFrame: %d, %t, %s; Find: %d, %t, %s", offset, ok, got.Format, at, found, format)
		}
		_, _ = PeekFrame(frame, len(frame)+cut)
		if ok && err == nil {
			checkDecoded(t, frame[offset:], &got)
		}
	})
}

func FuzzParseFileInfo(f *testing.F) {
	f.Add([]byte(realInfoFrame))
	f.Add([]byte(realInfoFrame[:40]))
	f.Add(packet4)
	f.Fuzz(func(t *testing.T, frame []byte) {
		info, ok := ParseFileInfo(frame)
		if !ok {
			if info != (FileInfo{}) {
				t.Fatalf("not ok, yet %+v", info)
			}
			return
		}
		if again, ok := ParseFileInfo(info.Frame()); !ok || again != info {
			t.Fatalf("got %+v, want %+v", again, info)
		}
	})
}
