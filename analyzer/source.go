package analyzer

// cite makes evidence of one of the point's frames.
func (s *survey) cite(frame uint64, what string) Evidence {
	return Evidence{Kind: KindFrame, Point: s.point.Name, File: s.point.File, Frame: frame, What: what}
}

// absent makes evidence of a range of frames in which a filter finds nothing.
func (s *survey) absent(filter, what string, from, to uint64) []Evidence {
	return []Evidence{{Kind: KindAbsence, Point: s.point.Name, File: s.point.File, Filter: filter, What: what, FromFrame: from, ToFrame: to}}
}
