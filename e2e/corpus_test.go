package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/podyard/podyard/status"
)

// corpus is a folder of other people's manifests that may stand beside the project.
const corpus = "../../shared/corpus"

// TestOtherPeoplesManifests runs unmodified manifests to Ready, with small images under the names they use. Where the
// folder of the originals is missing, copies of the same shape in testdata are used.
func TestOtherPeoplesManifests(t *testing.T) {
	root := corpus
	if _, err := os.Stat(root); err != nil {
		root = "testdata/corpus"
	}
	for _, c := range []struct {
		name, from, path, pods string
		files                  []string
		images                 []string
	}{
		{
			name: "guestbook", from: "kubernetes-examples/web/guestbook", path: ".", pods: "frontend-",
			files: []string{"frontend-deployment.yaml", "frontend-service.yaml", "redis-master-deployment.yaml",
				"redis-master-service.yaml", "redis-replica-deployment.yaml", "redis-replica-service.yaml"},
			images: []string{"gcr.io/google-samples/gb-frontend:v5", "registry.k8s.io/redis:e2e", "gcr.io/google_samples/gb-redisslave:v1"},
		},
		{
			name: "podinfo", from: "podinfo/deploy", path: "overlays/production", pods: "backend-",
			images: []string{"ghcr.io/stefanprodan/podinfo:6.14.1", "redis:8.8.0"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			for _, image := range c.images {
				h.run("docker", "tag", toolsImage, image)
				t.Cleanup(func() { h.run("docker", "rmi", image) })
			}
			h.copyTree(filepath.Join(root, c.from), c.files)
			h.commit(c.name, nil)
			h.start("--path", c.path)
			h.awaitOutcome(c.name, status.Succeeded)
			if len(h.pods(c.pods)) == 0 {
				t.Errorf("no pod %s", c.pods)
			}
		})
	}
}

// copyTree copies a folder, or some of its files, into the work tree.
func (h *host) copyTree(from string, files []string) {
	h.Helper()
	if files == nil {
		h.run("cp", "--recursive", "--no-preserve=mode", from+"/.", h.work)
		return
	}
	for _, f := range files {
		h.run("cp", "--no-preserve=mode", filepath.Join(from, f), h.work)
	}
}
