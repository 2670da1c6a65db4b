package testkit_test

import (
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/e2e/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestTestkit(t *testing.T) {
	RegisterFailHandler(Fail)
	name := "testkit"
	if os.Getenv(failingEnv) != "" {
		name = "specs that fail" // see failing_test.go
	}
	RunSpecs(t, name)
}
