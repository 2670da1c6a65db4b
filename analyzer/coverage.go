package analyzer

// says is the coverage by the file's own clock, for people.
func (s *survey) says() (from, to int64) {
	from, to = s.coverage()
	if s.wasSet() {
		from, to = s.file[0], s.file[1]
		if s.hasISB && s.damage == nil && !s.stats.Start.IsZero() && !s.stats.End.IsZero() {
			from, to = min(from, s.stats.Start.UnixNano()), max(to, s.stats.End.UnixNano())
		}
	}
	return from, to
}

// until is how far the capture goes, by its own clock as it was last: to its last
// frame, or as long as it says that it went on after it.
func (s *survey) until() int64 {
	if s.hasISB && s.damage == nil && !s.stats.End.IsZero() {
		return max(s.now, s.stats.End.UnixNano())
	}
	return s.now
}

// coverage is the time in which an absence here means something.
func (s *survey) coverage() (from, to int64) {
	from, to = s.first, s.last
	if s.hasISB && s.damage == nil && len(s.epochs) > 0 {
		if t := s.stats.Start; !t.IsZero() {
			from = min(from, t.UnixNano()-s.epochs[0].step)
		}
		if t := s.stats.End; !t.IsZero() {
			to = max(to, t.UnixNano()-s.epochs[len(s.epochs)-1].step)
		}
	}
	return from, to
}
