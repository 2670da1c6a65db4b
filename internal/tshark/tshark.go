// Package tshark asks Wireshark for a second opinion: which frames a display filter
// finds. It is for tests; nothing but they needs tshark.
package tshark

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// ErrMissing says that tshark is not installed.
var ErrMissing = errors.New("tshark is not installed (Debian: apt-get install tshark)")

// run starts tshark with nobody's preferences.
func run(ctx context.Context, args ...string) (string, error) {
	home, err := os.MkdirTemp("", "tshark-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(home)
	out, _, err := runIn(ctx, home, args...)
	return out, err
}

// runIn starts tshark with the preferences in a folder.
func runIn(ctx context.Context, home string, args ...string) (out, complaints string, err error) {
	path, err := exec.LookPath("tshark")
	if err != nil {
		return "", "", ErrMissing
	}
	c := exec.CommandContext(ctx, path, append([]string{"-n"}, args...)...)
	c.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME=", "WIRESHARK_CONFIG_DIR="+home, "LC_ALL=C")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	stdout, err := c.Output()
	if err != nil {
		return "", "", fmt.Errorf("tshark: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return string(stdout), stderr.String(), nil
}

// Frames returns the numbers of the frames of a capture file that a display filter
// finds. The error wraps [ErrMissing] where there is no tshark.
func Frames(ctx context.Context, file, filter string) ([]uint64, error) {
	return frames(ctx, file, filter)
}

// FramesOpened is [Frames] of a capture whose TLS is opened with a key log.
func FramesOpened(ctx context.Context, file, keys, filter string) ([]uint64, error) {
	return frames(ctx, file, filter, "-o", "tls.keylog_file:"+keys)
}

// FramesSummed is [Frames] with tcp.checksum.status, which Wireshark leaves open unless it
// is told to look: 0 is wrong, 1 is right.
func FramesSummed(ctx context.Context, file, filter string) ([]uint64, error) {
	return frames(ctx, file, filter, "-o", "tcp.check_checksum:TRUE")
}

func frames(ctx context.Context, file, filter string, preferences ...string) ([]uint64, error) {
	out, err := run(ctx, append(preferences, "-r", file, "-Y", filter, "-T", "fields", "-e", "frame.number")...)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, field := range strings.Fields(out) {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("tshark: frame number %q: %w", field, err)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// Fields returns the values of some fields of every frame that a display filter finds, one
// row a frame; of a field that a frame has several times, all, joined by line feeds.
func Fields(ctx context.Context, file, filter string, names ...string) ([][]string, error) {
	args := []string{"-r", file, "-Y", filter, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|"}
	for _, n := range names {
		args = append(args, "-e", n)
	}
	out, err := run(ctx, args...)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for line := range strings.Lines(out) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for i := range row {
			row[i] = strings.ReplaceAll(row[i], "|", "\n")
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Listed returns the list of packets as a profile shows it, one line each, or, with fields,
// their values. config is a folder that has the profile in its folder profiles; what tshark
// has to say against the profile is an error.
func Listed(ctx context.Context, config, profile, file, filter string, fields ...string) ([]string, error) {
	args := []string{"-C", profile, "--color", "-r", file, "-Y", filter}
	for i, f := range fields {
		if i == 0 {
			args = append(args, "-T", "fields")
		}
		args = append(args, "-e", f)
	}
	out, complaints, err := runIn(ctx, config, args...)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(complaints) {
		if !strings.Contains(line, "Running as user") {
			return nil, fmt.Errorf("tshark: %s", strings.TrimSpace(line))
		}
	}
	return strings.Split(strings.TrimSpace(out), "\n"), nil
}

// Counts tells how many frames each filter finds. The file is read once, and once more for
// each filter that has a comma, which is what io,stat separates them by.
func Counts(ctx context.Context, file string, filters []string) ([]uint64, error) {
	counts := make([]uint64, len(filters))
	var plain []string
	var at []int
	for i, f := range filters {
		if !strings.Contains(f, ",") {
			plain, at = append(plain, f), append(at, i)
			continue
		}
		found, err := Frames(ctx, file, f)
		if err != nil {
			return nil, err
		}
		counts[i] = uint64(len(found))
	}
	if len(plain) == 0 {
		return counts, nil
	}
	rows, err := intervals(ctx, file, "0", plain)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("tshark: %d intervals of %s, want one", len(rows), file)
	}
	for k, n := range rows[0].counts {
		counts[at[k]] = n
	}
	return counts, nil
}

// Table tells for each filter which frames it finds, reading the file once. The
// file's frames must be exactly one second apart; of the last one nothing is told.
func Table(ctx context.Context, file string, filters []string) ([][]uint64, error) {
	rows, err := intervals(ctx, file, "1", filters)
	if err != nil {
		return nil, err
	}
	table := make([][]uint64, len(filters))
	for _, row := range rows {
		second, err := strconv.ParseUint(row.from, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("tshark: interval from %q: %w", row.from, err)
		}
		for i, n := range row.counts {
			switch n {
			case 0:
			case 1:
				table[i] = append(table[i], second+1)
			default:
				return nil, fmt.Errorf("tshark: %d frames in a second, want one", n)
			}
		}
	}
	return table, nil
}

// interval is a row of io,stat: when it begins, in seconds, and the frames of each filter.
type interval struct {
	from   string
	counts []uint64
}

// intervals has tshark count frames in intervals of so many seconds, 0 for one of all.
func intervals(ctx context.Context, file, seconds string, filters []string) ([]interval, error) {
	out, err := run(ctx, "-q", "-r", file, "-z", "io,stat,"+seconds+","+strings.Join(filters, ","))
	if err != nil {
		return nil, err
	}
	var rows []interval
	for line := range strings.Lines(out) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) < 1+2*len(filters) || !strings.Contains(cells[0], "<>") { // more: padded to a title
			continue
		}
		from, _, _ := strings.Cut(cells[0], "<>")
		row := interval{from: strings.TrimSpace(from), counts: make([]uint64, len(filters))}
		for i := range filters {
			if row.counts[i], err = strconv.ParseUint(strings.TrimSpace(cells[1+2*i]), 10, 64); err != nil {
				return nil, fmt.Errorf("tshark: count %q: %w", cells[1+2*i], err)
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Citation is a frame and the filter that finds it, or, with Frame 0, a range of
// frames in which the filter finds none.
type Citation struct {
	Frame    uint64
	From, To uint64
	Filter   string
}

// Disagreements returns what Wireshark sees otherwise, one line each: a cited frame
// that its filter does not find, a frame that an absence has missed. The file is
// read twice, however many citations there are.
func Disagreements(ctx context.Context, file string, cs []Citation) ([]string, error) {
	var present, absent []string
	var want []uint64
	for _, c := range cs {
		if c.Frame != 0 {
			present = append(present, fmt.Sprintf("(frame.number==%d && (%s))", c.Frame, c.Filter))
			want = append(want, c.Frame)
			continue
		}
		absent = append(absent, fmt.Sprintf("(frame.number>=%d && frame.number<=%d && (%s))", c.From, c.To, c.Filter))
	}
	var out []string
	if len(present) > 0 {
		got, err := Frames(ctx, file, strings.Join(present, " || "))
		if err != nil {
			return nil, err
		}
		for _, c := range cs {
			if c.Frame != 0 && !slices.Contains(got, c.Frame) {
				out = append(out, fmt.Sprintf("%s: frame %d is not found by %s", file, c.Frame, c.Filter))
			}
		}
		for _, n := range got {
			if !slices.Contains(want, n) {
				out = append(out, fmt.Sprintf("%s: frame %d is found, and nobody cites it", file, n))
			}
		}
	}
	if len(absent) > 0 {
		got, err := Frames(ctx, file, strings.Join(absent, " || "))
		if err != nil {
			return nil, err
		}
		for _, n := range got {
			out = append(out, fmt.Sprintf("%s: frame %d is one of those said to be absent", file, n))
		}
	}
	return out, nil
}

// Checksums returns the frames of a capture file whose IPv4 or TCP checksum is wrong.
// 0xffff for 0 is not: Linux writes it (CSUM_MANGLED_0 in skb_checksum_help,
// net/core/dev.c), and to a receiver it is the same. The error wraps [ErrMissing]
// where there is no tshark.
func Checksums(ctx context.Context, file string) ([]uint64, error) {
	return frames(ctx, file, "ip.checksum.status == 0 || tcp.checksum.status == 0 && tcp.checksum != 0xffff",
		"-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE")
}
