package testkit

import "github.com/hopblame/hopblame/topology"

// mainCalled says whether the test binary was started as [Main] wants it.
var mainCalled bool

// Main runs a suite's specs where labs can be built, without root and with nothing left
// behind however the suite ends. It is the only line of its TestMain:
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
//
// It starts the test binary a second time, in PID, mount and, without root, user
// namespaces; the specs run in there ([topology.Sandbox]). That cannot wait for a
// BeforeSuite: a process of more than one thread cannot enter a user namespace
// (unshare(2)). Under ginkgo -p each process does so for itself. Inside, whoever runs the
// suite is root and the only user there is.
func Main(m interface{ Run() int }) {
	mainCalled = true
	topology.Main(m)
}
