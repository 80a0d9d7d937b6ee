package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/podyard/podyard/status"
)

// TestEveryExampleBecomesReady, with a small image under the names that the examples use.
func TestEveryExampleBecomesReady(t *testing.T) {
	tagExampleImages(t)
	for _, c := range []struct{ name, path string }{
		{"hello", "."}, {"services", "."}, {"overlay", "overlays/staging"}, {"overlay", "overlays/production"}, {"config", "."},
		{"pods", "."}, {"statefulset", "."}, {"job", "."}, {"cronjob", "."}, {"autoscaling", "."}, {"blue-green", "."}, {"canary", "."}, {"policies", "."},
		{"migration", "."},
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

// TestTheExampleOfAnAdoptedVolume, with a volume that is nobody else's.
func TestTheExampleOfAnAdoptedVolume(t *testing.T) {
	tagExampleImages(t)
	volume := adoptedVolume(t)
	h := newHost(t)
	example, err := os.ReadFile("../examples/adopted-volume/app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	h.commit("Example", map[string]string{"app.yaml": strings.ReplaceAll(string(example), "shop_data", volume)})
	h.start()
	h.awaitOutcome("Example", status.Succeeded)
	if got, err := h.exec("reader", "cat", "/data/data"); got != "kept" || err != nil {
		t.Errorf("the pod reads %q, %v", got, err)
	}
}

func tagExampleImages(t *testing.T) {
	for _, image := range []string{"traefik/whoami:v1.11", "busybox:1.37"} {
		if out, err := exec.Command("docker", "tag", toolsImage, image).CombinedOutput(); err != nil {
			t.Fatalf("tag %s: %v %s", image, err, out)
		}
		t.Cleanup(func() { _ = exec.Command("docker", "rmi", image).Run() })
	}
}
