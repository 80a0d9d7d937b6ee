package runtimetest

import (
	"slices"
	"testing"
)

// Check is one sentence of the contract.
type Check struct {
	Name string
	// Alone says that nothing else may use the instance meanwhile.
	Alone bool
	run   func(*fixture)
}

// Run is the body of a test of this check alone, as in a bubble of testing/synctest, where there are no subtests.
func (c Check) Run(t *testing.T, h Harness) {
	ensure(t, h)
	c.run(newFixture(t, h))
}

func ensure(t *testing.T, h Harness) {
	t.Helper()
	if err := h.Runtime.Ensure(t.Context(), func(line string) { t.Log(line) }); err != nil {
		t.Fatal(err)
	}
}

// Checks returns what holds for every runtime, those that must be Alone last, and Teardown at the very end.
func Checks() []Check {
	return slices.Concat(sandboxChecks, containerChecks, statsChecks, messageChecks, volumeChecks, execChecks, streamChecks, logChecks, probeChecks,
		imageChecks, watchChecks, crowdChecks, foreignChecks, routeChecks, publishChecks, setupChecks)
}

// RealChecks returns what holds where containers are processes in a network: Run does not look as far as that.
func RealChecks() []Check {
	return slices.Concat(realMessageChecks, realNamespaceChecks, realSecurityChecks, realResourceChecks, realVolumeChecks, realStreamChecks,
		realNetworkChecks, realServiceChecks, realPublishChecks)
}

// Run runs Checks on one instance, as many at once as -parallel allows. The harness's own cleanup removes the instance
// at the end, volumes included.
func Run(t *testing.T, newRuntime func(t *testing.T) Harness) {
	run(t, newRuntime(t), Checks())
}

// RunReal runs RealChecks in the same way.
func RunReal(t *testing.T, newRuntime func(t *testing.T) Harness) {
	run(t, newRuntime(t), RealChecks())
}

func run(t *testing.T, h Harness, checks []Check) {
	t.Helper()
	ensure(t, h)
	t.Run("together", func(t *testing.T) {
		for _, c := range checks {
			if !c.Alone {
				t.Run(c.Name, func(t *testing.T) { t.Parallel(); c.run(newFixture(t, h)) })
			}
		}
	})
	t.Run("alone", func(t *testing.T) {
		for _, c := range checks {
			if c.Alone {
				t.Run(c.Name, func(t *testing.T) { c.run(newFixture(t, h)) })
			}
		}
	})
}
