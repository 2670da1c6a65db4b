package wire

// Duplicate sends each packet on twice.
type Duplicate struct{}

func (Duplicate) take(w *Wire, p Packet) {
	w.send(p)
	w.sendCopy(p)
}
