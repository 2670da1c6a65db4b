package analyzer

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hopblame/hopblame/internal/tlstap"
)

// h2Talk writes frames of both sides, and feeds them in pieces.
type h2Talk struct {
	tb    testing.TB
	c     *h2
	piece int
	sides [2]struct {
		out    bytes.Buffer
		framer *http2.Framer
		block  bytes.Buffer
		fields *hpack.Encoder
	}
	at   uint32
	sent func(side tlstap.Side, b []byte) // instead of being fed; nil: fed
}

func newH2Talk(tb testing.TB, piece int) *h2Talk {
	k := &h2Talk{tb: tb, c: newH2(), piece: piece}
	for i := range k.sides {
		s := &k.sides[i]
		s.framer, s.fields = http2.NewFramer(&s.out, nil), hpack.NewEncoder(&s.block)
		s.framer.AllowIllegalWrites = true
	}
	return k
}

// says feeds what a side writes.
func (k *h2Talk) says(side tlstap.Side, write func(f *http2.Framer) error) {
	s := &k.sides[side]
	if err := write(s.framer); err != nil {
		k.tb.Fatal(err)
	}
	if k.sent != nil {
		k.sent(side, s.out.Bytes())
		s.out.Reset()
		return
	}
	for b := s.out.Bytes(); len(b) > 0; {
		n := min(k.piece, len(b))
		k.c.feed(side, b[:n], tlstap.Mark{Seq: k.at})
		k.at++
		b = b[n:]
	}
	s.out.Reset()
}

// headers writes a header block, in frames of a size.
func (k *h2Talk) headers(side tlstap.Side, id uint32, end bool, size int, fields ...string) {
	s := &k.sides[side]
	s.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		if err := s.fields.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			k.tb.Fatal(err)
		}
	}
	b := bytes.Clone(s.block.Bytes())
	k.says(side, func(f *http2.Framer) error {
		n := min(size, len(b))
		err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b[:n], EndStream: end, EndHeaders: n == len(b), PadLength: 3,
			Priority: http2.PriorityParam{Weight: 7}})
		for b = b[n:]; len(b) > 0 && err == nil; b = b[n:] {
			n = min(size, len(b))
			err = f.WriteContinuation(id, n == len(b), b[:n])
		}
		return err
	})
}

func (k *h2Talk) preface() {
	k.says(tlstap.Client, func(f *http2.Framer) error {
		k.sides[tlstap.Client].out.WriteString(http2.ClientPreface)
		return f.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 8192})
	})
	k.says(tlstap.Server, func(f *http2.Framer) error { return f.WriteSettings() })
	k.says(tlstap.Server, (*http2.Framer).WriteSettingsAck)
}

func (k *h2Talk) asks(id uint32) {
	k.headers(tlstap.Client, id, true, 1<<10, ":method", "GET", ":path", fmt.Sprintf("/%d", id), "x-request-id", fmt.Sprint(id))
}

// story is what became of the requests, in order.
func (k *h2Talk) story() string {
	var out []string
	for _, e := range k.c.ended {
		out = append(out, fmt.Sprintf("%s %s %s %d", e.method, e.target, e.outcome, e.status))
	}
	for id, st := range k.c.streams {
		out = append(out, fmt.Sprintf("%s %s open", st.method, st.target))
		_ = id
	}
	slices.Sort(out[len(k.c.ended):])
	if k.c.broken {
		out = append(out, "lost track")
	}
	return strings.Join(out, "; ")
}

func TestH2(t *testing.T) {
	const client, server = tlstap.Client, tlstap.Server
	for _, c := range []struct {
		name string
		tell func(k *h2Talk)
		want string
	}{
		{"a response without a body", func(k *h2Talk) {
			k.asks(1)
			k.headers(server, 1, true, 1<<10, ":status", "204")
		}, "GET /1 ok 204"},
		{"a response with a body", func(k *h2Talk) {
			k.asks(1)
			k.headers(server, 1, false, 1<<10, ":status", "200")
			k.says(server, func(f *http2.Framer) error { return f.WriteData(1, false, bytes.Repeat([]byte("x"), 20000)) })
			k.says(server, func(f *http2.Framer) error { return f.WriteDataPadded(1, true, []byte("y"), []byte{0, 0}) })
		}, "GET /1 ok 200"},
		{"a response with trailers", func(k *h2Talk) {
			k.asks(1)
			k.headers(server, 1, false, 1<<10, ":status", "200")
			k.headers(server, 1, true, 1<<10, "grpc-status", "14")
		}, "GET /1 ok 200"},
		{"103, then 200", func(k *h2Talk) {
			k.asks(1)
			k.headers(server, 1, false, 1<<10, ":status", "103")
			k.headers(server, 1, true, 1<<10, ":status", "200")
		}, "GET /1 ok 200"},
		{"responses in another order", func(k *h2Talk) {
			k.asks(1)
			k.asks(3)
			k.headers(server, 3, true, 1<<10, ":status", "200")
			k.headers(server, 1, true, 1<<10, ":status", "503")
		}, "GET /3 ok 200; GET /1 error 503"},
		{"the server resets a stream, and goes on", func(k *h2Talk) {
			k.asks(1)
			k.asks(3)
			k.says(server, func(f *http2.Framer) error { return f.WriteRSTStream(1, http2.ErrCodeInternal) })
			k.headers(server, 3, true, 1<<10, ":status", "200")
		}, "GET /1 reset 0; GET /3 ok 200"},
		{"a reset behind the whole response is none", func(k *h2Talk) {
			k.asks(1)
			k.headers(server, 1, true, 1<<10, ":status", "200")
			k.says(server, func(f *http2.Framer) error { return f.WriteRSTStream(1, http2.ErrCodeNo) })
		}, "GET /1 ok 200"},
		{"the client gives up", func(k *h2Talk) {
			k.asks(1)
			k.says(client, func(f *http2.Framer) error { return f.WriteRSTStream(1, http2.ErrCodeCancel) })
		}, "GET /1 timeout 0"},
		{"a request that the server never looked at", func(k *h2Talk) {
			k.asks(1)
			k.asks(3)
			k.says(server, func(f *http2.Framer) error { return f.WriteGoAway(1, http2.ErrCodeNo, []byte("bye")) })
			k.headers(server, 1, true, 1<<10, ":status", "200")
		}, "GET /1 ok 200"},
		{"a request with a body and trailers", func(k *h2Talk) {
			k.headers(client, 1, false, 1<<10, ":method", "POST", ":path", "/p")
			k.says(client, func(f *http2.Framer) error { return f.WriteData(1, false, []byte("hello")) })
			k.headers(client, 1, true, 1<<10, "x-sum", "1")
			k.headers(server, 1, true, 1<<10, ":status", "200")
		}, "POST /p ok 200"},
		{"header blocks in many frames", func(k *h2Talk) {
			k.headers(client, 1, true, 5, ":method", "GET", ":path", "/"+strings.Repeat("long", 20), "x-request-id", "1")
			k.headers(server, 1, true, 1, ":status", "500", "server", "BigIP")
		}, "GET /" + strings.Repeat("long", 20) + " error 500"},
		{"a push promise takes its part of the field table", func(k *h2Talk) {
			k.asks(1)
			s := &k.sides[server]
			s.block.Reset()
			_ = s.fields.WriteField(hpack.HeaderField{Name: "x-new", Value: "field"})
			k.says(server, func(f *http2.Framer) error {
				return f.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: s.block.Bytes(), EndHeaders: true})
			})
			k.headers(server, 1, true, 1<<10, "x-new", "field", ":status", "200")
		}, "GET /1 ok 200"},
		{"a client with a larger field table", func(k *h2Talk) {
			k.sides[server].fields.SetMaxDynamicTableSizeLimit(8192)
			k.sides[server].fields.SetMaxDynamicTableSize(8192)
			k.asks(1)
			k.headers(server, 1, true, 1<<10, ":status", "200")
		}, "GET /1 ok 200"},
		{"frames of kinds that nobody knows", func(k *h2Talk) {
			k.says(client, func(f *http2.Framer) error { return f.WriteRawFrame(0xfa, 0, 0, []byte("grease")) })
			k.says(client, func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 99) })
			k.says(server, func(f *http2.Framer) error { return f.WritePing(true, [8]byte{1}) })
			k.asks(1)
		}, "GET /1 open"},
		{"a frame between a header block's", func(k *h2Talk) {
			k.says(client, func(f *http2.Framer) error {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
			})
			k.says(client, func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 99) })
		}, "lost track"},
		{"a header block that cannot be decoded", func(k *h2Talk) {
			k.asks(1)
			k.says(client, func(f *http2.Framer) error {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true})
			})
		}, "GET /1 open; lost track"},
		{"a frame longer than any that is read", func(k *h2Talk) {
			k.says(server, func(f *http2.Framer) error {
				return f.WriteRawFrame(http2.FrameGoAway, 0, 0, make([]byte, maxH2Frame+1))
			})
		}, "lost track"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, piece := range []int{1 << 20, 1, 7} {
				k := newH2Talk(t, piece)
				k.preface()
				c.tell(k)
				if got := k.story(); got != c.want {
					t.Errorf("in pieces of %d: got %q, want %q", piece, got, c.want)
				}
			}
		})
	}
	t.Run("another preface", func(t *testing.T) {
		k := newH2Talk(t, 5)
		k.c.feed(client, []byte("GET / HTTP/1.1\r\n\r\n"), tlstap.Mark{})
		if !k.c.broken {
			t.Error("is taken for one")
		}
	})
}

// FuzzH2 feeds both directions in pieces: no crash, and little is kept.
func FuzzH2(f *testing.F) {
	k := newH2Talk(f, 1<<20)
	record := [2][]byte{}
	for i := range k.sides {
		s := &k.sides[i]
		s.framer = http2.NewFramer(&s.out, nil)
	}
	k.sides[0].out.WriteString(http2.ClientPreface)
	_ = k.sides[0].framer.WriteSettings()
	_ = k.sides[1].framer.WriteSettings()
	_ = k.sides[0].framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82, 0x84, 0x40, 1, 'a', 1, 'b'}, EndHeaders: true, EndStream: true})
	_ = k.sides[1].framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true})
	_ = k.sides[1].framer.WriteData(1, true, []byte("ok"))
	for i := range k.sides {
		record[i] = bytes.Clone(k.sides[i].out.Bytes())
	}
	f.Add(record[0], record[1], uint8(3))
	f.Add(append(bytes.Clone(record[0]), record[0][len(http2.ClientPreface):]...), []byte("\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x02"), uint8(200))
	f.Fuzz(func(t *testing.T, up, down []byte, piece uint8) {
		c := newH2()
		n := int(piece) + 1
		for len(up) > 0 || len(down) > 0 {
			k := min(n, len(up))
			c.feed(tlstap.Client, up[:k], tlstap.Mark{})
			up = up[k:]
			k = min(n, len(down))
			c.feed(tlstap.Server, down[:k], tlstap.Mark{})
			down = down[k:]
			for i := range c.sides {
				if s := &c.sides[i]; len(s.frame) > h2FrameHead+maxH2Frame || s.found.size > maxHead+maxH2Frame {
					t.Fatalf("%d bytes of a frame, %d of a block", len(s.frame), s.found.size)
				}
			}
		}
		if len(c.ended)+len(c.streams) > c.begun || len(c.streams) > maxStreams {
			t.Fatalf("%d ended, %d open, %d begun", len(c.ended), len(c.streams), c.begun)
		}
	})
}
