package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/podyard/podyard/status"
)

// corpus is a folder of other people's manifests that may stand beside the project.
const corpus = "../../shared/corpus/"

// application is a folder of manifests, and the images that it names.
type application struct {
	name, from, path string
	// files of the folder; all of them if nil.
	files []string
	// pods that must run begin so.
	pods   string
	images []string
}

// applications are those of the corpus, or, where the folder is missing, one of our own of the same shape.
func applications() []application {
	if _, err := os.Stat(corpus); err != nil {
		return []application{{name: "overlay", from: "../examples/overlay", path: "overlays/production", pods: "web-", images: []string{"traefik/whoami:v1.11"}}}
	}
	return []application{
		{
			name: "guestbook", from: corpus + "kubernetes-examples/web/guestbook", path: ".", pods: "frontend-",
			files: []string{"frontend-deployment.yaml", "frontend-service.yaml", "redis-master-deployment.yaml",
				"redis-master-service.yaml", "redis-replica-deployment.yaml", "redis-replica-service.yaml"},
			images: []string{"gcr.io/google-samples/gb-frontend:v5", "registry.k8s.io/redis:e2e", "gcr.io/google_samples/gb-redisslave:v1"},
		},
		{
			name: "podinfo", from: corpus + "podinfo/deploy", path: "overlays/production", pods: "backend-",
			images: []string{"ghcr.io/stefanprodan/podinfo:6.14.1", "redis:8.8.0"},
		},
	}
}

// TestOtherPeoplesManifests runs unmodified manifests to Ready, with small images under the names they use.
func TestOtherPeoplesManifests(t *testing.T) {
	for _, c := range applications() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			for _, image := range c.images {
				h.run("docker", "tag", toolsImage, image)
				t.Cleanup(func() { h.run("docker", "rmi", image) })
			}
			h.copyTree(c.from, c.files)
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
