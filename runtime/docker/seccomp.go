package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// seccompProfile reads a profile of type Localhost, which upstream looks for below the kubelet's own directory
// (fieldSeccompProfile in pkg/kubelet/kuberuntime/helpers.go). Nothing outside of that is read, not by a symbolic link
// either. It is empty for other types.
func (o Options) seccompProfile(p *corev1.SeccompProfile) (string, error) {
	if p == nil || p.Type != corev1.SeccompProfileTypeLocalhost {
		return "", nil
	}
	name := ""
	if p.LocalhostProfile != nil {
		name = *p.LocalhostProfile
	}
	if o.SeccompProfileRoot == "" {
		return "", fmt.Errorf("seccomp profile %q: no directory for profiles was given (--seccomp-profile-root): %w", name, runtime.ErrInvalid)
	}
	text, err := readInside(o.SeccompProfileRoot, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("seccomp profile %q: there is no such file in %s: put it there: %w", name, o.SeccompProfileRoot, runtime.ErrInvalid)
	}
	if err != nil {
		return "", fmt.Errorf("seccomp profile %q: %w: %w", name, err, runtime.ErrInvalid)
	}
	if !json.Valid(text) {
		return "", fmt.Errorf("seccomp profile %q: the file in %s is not valid JSON: %w", name, o.SeccompProfileRoot, runtime.ErrInvalid)
	}
	return string(text), nil
}

func readInside(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(name)
}
