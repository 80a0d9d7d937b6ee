package runtimetest

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/podyard/podyard/runtime"
)

// BusyboxTar returns a root file system for "docker import", made of the host's static busybox.
func BusyboxTar(t testing.TB) io.Reader {
	t.Helper()
	program, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatalf("the suite's image is made of a static busybox: %v", err)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	names, err := exec.Command(program, "--list").Output()
	if err != nil {
		t.Fatalf("list the commands of %s: %v", program, err)
	}
	var out bytes.Buffer
	if err := writeBusybox(tar.NewWriter(&out), data, strings.Fields(string(names))); err != nil {
		t.Fatal(err)
	}
	return &out
}

func writeBusybox(w *tar.Writer, program []byte, names []string) error {
	headers := []tar.Header{
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))},
	}
	for _, name := range names {
		if name != "busybox" {
			headers = append(headers, tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777})
		}
	}
	for i := range headers {
		if err := w.WriteHeader(&headers[i]); err != nil {
			return fmt.Errorf("write %s: %w", headers[i].Name, err)
		}
		if headers[i].Size == 0 {
			continue
		}
		if _, err := w.Write(program); err != nil {
			return fmt.Errorf("write %s: %w", headers[i].Name, err)
		}
	}
	return w.Close()
}

// missingImage is a reference that no registry serves: nothing listens there.
const missingImage = "localhost:1/podyard/missing:v1"

var imageChecks = []Check{
	{Name: "the error of a pull that fails names the image", run: pullFails},
	{Name: "an image that is not here is not found", run: imageNotFound},
	{Name: "a pulled image is here and in the state", run: pull},
	{Name: "no container is made of an image that is not here", run: noImage},
}

func pullFails(f *fixture) {
	_, err := f.Runtime.PullImage(f.ctx, missingImage, nil)
	if err == nil || !strings.Contains(err.Error(), missingImage) {
		f.Fatalf("PullImage says %v; want an error that names %s", err, missingImage)
	}
}

func imageNotFound(f *fixture) {
	if _, err := f.Runtime.ImageStatus(f.ctx, missingImage); !errors.Is(err, runtime.ErrNotFound) {
		f.Fatalf("ImageStatus says %v; want ErrNotFound", err)
	}
	if image, ok := f.state().Images[missingImage]; !ok || image.ID != "" {
		f.Errorf("State.Images holds %+v, %v; want the reference that was asked for, without an ID", image, ok)
	}
}

func pull(f *fixture) {
	image, err := f.Runtime.PullImage(f.ctx, f.Pullable, nil)
	f.must(err)
	if !strings.HasPrefix(image.ID, "sha256:") || !strings.Contains(image.Digest, "@sha256:") || image.PulledAt.IsZero() {
		f.Errorf("PullImage returns %+v; want ID, Digest and PulledAt", image)
	}
	status, err := f.Runtime.ImageStatus(f.ctx, f.Pullable)
	f.must(err)
	if status.ID != image.ID || status.Digest != image.Digest {
		f.Errorf("ImageStatus returns %+v; want what was pulled, %+v", status, image)
	}
	if held := f.state().Images[f.Pullable]; held.ID != image.ID || held.PulledAt.IsZero() {
		f.Errorf("State.Images holds %+v; want what was pulled, %+v", held, image)
	}
}

func noImage(f *fixture) {
	id := f.pod("web")
	_, err := f.Runtime.CreateContainer(f.ctx, id, runtime.ContainerConfig{Name: "main", Image: missingImage})
	if err == nil {
		f.Fatal("CreateContainer succeeds without an image")
	}
	if containers := f.observePod(id).Containers; len(containers) != 0 {
		f.Errorf("the pod holds %+v; want no container", containers)
	}
}
