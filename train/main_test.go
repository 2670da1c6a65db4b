package train

import (
	"testing"

	"github.com/hopblame/hopblame/topology"
)

func TestMain(m *testing.M) { topology.Main(m) }
