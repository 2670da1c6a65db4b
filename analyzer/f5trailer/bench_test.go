package f5trailer

import "testing"

func BenchmarkAppendTo(b *testing.B) {
	for _, v := range vectors()[:2] {
		b.Run(v.want.Format.String(), func(b *testing.B) {
			buf := make([]byte, 0, 512)
			b.ReportAllocs()
			b.SetBytes(int64(len(v.trailer)))
			for b.Loop() {
				buf, _ = v.want.AppendTo(buf[:0])
			}
		})
	}
}

func BenchmarkDecodeFrame(b *testing.B) {
	benchmarkFrames(b, func(frame []byte) {
		_, _, _ = DecodeFrame(frame, len(frame), &benchTrailer)
	})
}

func BenchmarkPeekFrame(b *testing.B) {
	benchmarkFrames(b, func(frame []byte) { _, _ = PeekFrame(frame, len(frame)) })
}

var benchTrailer Trailer

func benchmarkFrames(b *testing.B, f func([]byte)) {
	for _, v := range vectors()[:2] {
		b.Run(v.want.Format.String(), func(b *testing.B) {
			frame := cat(v.packet, v.trailer)
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				f(frame)
			}
		})
	}
}
