package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

// TestTheDemoTellsItsStory runs what the README promises, as a person would.
func TestTheDemoTellsItsStory(t *testing.T) {
	t.Parallel()
	command := exec.Command(binary, "demo", "--once")
	command.Dir = t.TempDir()
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("podyard demo --once: %v\n%s", err, out)
	}
	for _, chapter := range []string{"deploy the first version", "push a second version under load", "push a broken version", "revert it", "kill a container"} {
		if strings.Count(string(out), chapter) != 2 { // once when it begins, once in the timeline
			t.Errorf("the demo does not tell %q:\n%s", chapter, out)
		}
	}
	left, err := exec.Command("docker", "ps", "--all", "--quiet", "--filter", "label=podyard.dev/instance=podyard-demo").Output()
	if err != nil || len(left) > 0 {
		t.Errorf("the demo leaves containers: %s %v", left, err)
	}
	if images, err := exec.Command("docker", "images", "--quiet", "podyard-hello").Output(); err != nil || len(images) > 0 {
		t.Errorf("the demo leaves images: %s %v", images, err)
	}
}
