package docker

import (
	"net"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"

	"github.com/podyard/podyard/runtime"
)

// hubKey is how upstream's key for Docker's own registry looks once its scheme and version are taken off.
const hubKey = "index.docker.io"

// fitting are the credentials that fit an image: those for the longest path first, and among equals in the order given.
// It is upstream's BasicDockerKeyring (pkg/credentialprovider/keyring.go).
func fitting(credentials []runtime.Credential, named reference.Named) []runtime.Credential {
	var out, hub []runtime.Credential
	for _, c := range credentials {
		key := keyOf(c.Registry)
		switch {
		case key != "" && keyMatches(key, named.Name()):
			out = append(out, c)
		case key == hubKey && reference.Domain(named) == "docker.io":
			hub = append(hub, c)
		}
	}
	if len(out) == 0 {
		return hub
	}
	// Upstream sorts the keys backwards, by which a longer path comes before what it begins with.
	slices.SortStableFunc(out, func(a, b runtime.Credential) int {
		return strings.Compare(keyOf(b.Registry), keyOf(a.Registry))
	})
	return out
}

// keyOf is a registry as it is written in a Secret without scheme and API version: "https://host/v1/" is "host".
func keyOf(registry string) string {
	if !strings.HasPrefix(registry, "https://") && !strings.HasPrefix(registry, "http://") {
		registry = "https://" + registry
	}
	parsed, err := url.Parse(registry)
	if err != nil {
		return ""
	}
	at := parsed.Path
	for _, version := range []string{"/v1/", "/v2/"} {
		if rest, ok := strings.CutPrefix(at, version); ok {
			at = "/" + rest
		}
	}
	if at == "/" {
		at = ""
	}
	return parsed.Host + at
}

// keyMatches: each label of the host matches as a glob, the port is the same, and the path begins with the key's
// (upstream: URLsMatch).
func keyMatches(key, image string) bool {
	keyHost, keyPath, _ := strings.Cut(key, "/")
	imageHost, imagePath, _ := strings.Cut(image, "/")
	keyLabels, keyPort := labelsOf(keyHost)
	imageLabels, imagePort := labelsOf(imageHost)
	if keyPort != imagePort || len(keyLabels) != len(imageLabels) || !strings.HasPrefix(imagePath, keyPath) {
		return false
	}
	for i, glob := range keyLabels {
		if ok, err := path.Match(glob, imageLabels[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

func labelsOf(hostPort string) (labels []string, port string) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		host, port = hostPort, ""
	}
	return strings.Split(host, "."), port
}

// asAuth is a credential as the engine takes it.
func asAuth(c runtime.Credential, server string) registry.AuthConfig {
	return registry.AuthConfig{
		Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken,
		ServerAddress: server,
	}
}
