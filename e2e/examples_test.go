package e2e

import (
	"os/exec"
	"testing"

	"github.com/podyard/podyard/status"
)

// TestEveryExampleBecomesReady, with a small image under the names that the examples use.
func TestEveryExampleBecomesReady(t *testing.T) {
	for _, image := range []string{"traefik/whoami:v1.11", "busybox:1.37"} {
		if out, err := exec.Command("docker", "tag", toolsImage, image).CombinedOutput(); err != nil {
			t.Fatalf("tag %s: %v %s", image, err, out)
		}
		t.Cleanup(func() { _ = exec.Command("docker", "rmi", image).Run() })
	}
	for _, c := range []struct{ name, path string }{
		{"hello", "."}, {"overlay", "overlays/staging"}, {"overlay", "overlays/production"}, {"config", "."},
	} {
		t.Run(c.name+" "+c.path, func(t *testing.T) {
			h := newHost(t)
			h.copyTree("../examples/"+c.name, nil)
			h.commit("Example", nil)
			h.start("--path", c.path)
			h.awaitOutcome("Example", status.Succeeded)
		})
	}
}
