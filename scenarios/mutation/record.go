package mutation

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/hopblame/hopblame/scenarios"
)

// Requests of a recording. So few show some failures of every scenario, and whatever the
// analyzer learns from good requests; a stateful firewall's table wants more to be filled,
// or to come round.
const (
	requests         = 1200
	statefulRequests = 4000
)

// Record plays a scenario into DIR/NAME: captures and truth. A run that fails its own
// checks is an error, for by it nobody can be judged.
func Record(ctx context.Context, dir string, s *scenarios.Scenario, seed uint64) error {
	most := requests
	if s.Firewall.Stateful() {
		most = statefulRequests
	}
	r, err := scenarios.Run(ctx, s, scenarios.Options{Requests: min(most, s.Config(seed).Requests), Seed: &seed, Out: filepath.Join(dir, s.Name)})
	switch {
	case err != nil:
		return fmt.Errorf("record %s: %w", s.Name, err)
	case !r.Valid:
		return fmt.Errorf("record %s: the run is invalid, because %v", s.Name, r.InvalidBecause)
	}
	return nil
}

// Recorded opens the run directories in a folder, in the order of their names.
func Recorded(dir string) (all []*scenarios.Recording, err error) {
	found, err := filepath.Glob(filepath.Join(dir, "*", "result.json"))
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		r, err := scenarios.OpenRecording(filepath.Dir(f))
		if err != nil {
			return nil, err
		}
		if !r.Result.Valid {
			return nil, fmt.Errorf("run %s is invalid, because %v", r.Path, r.Result.InvalidBecause)
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no run directories in %s", dir)
	}
	return all, nil
}
