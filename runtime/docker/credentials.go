package docker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"

	"github.com/podyard/podyard/runtime"
)

// dockerHub is how the Docker client names its own registry in the configuration.
const dockerHub = "https://index.docker.io/v1/"

// clientConfig is the part of the Docker client's config.json that holds credentials.
type clientConfig struct {
	Auths       map[string]storedAuth `json:"auths"`
	CredsStore  string                `json:"credsStore"`
	CredHelpers map[string]string     `json:"credHelpers"`
}

type storedAuth struct {
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// logins are the X-Registry-Auth headers to try for a pull, in their order: the credentials given that fit, what
// `docker login` stored, and none. They are read anew each time, since logins change.
func logins(ctx context.Context, named reference.Named, credentials []runtime.Credential) ([]string, error) {
	server := reference.Domain(named)
	if server == "docker.io" {
		server = dockerHub
	}
	var auths []registry.AuthConfig
	for _, c := range fitting(credentials, named) {
		auths = append(auths, asAuth(c, server))
	}
	stored, err := storedLogin(ctx, server)
	if err != nil && len(auths) == 0 {
		return nil, err
	}
	auths = append(auths, stored)
	var out []string
	for _, auth := range auths {
		if auth == (registry.AuthConfig{}) {
			continue
		}
		encoded, err := registry.EncodeAuthConfig(auth)
		if err != nil {
			return nil, fmt.Errorf("encode a login for %s: not possible", server)
		}
		out = append(out, encoded)
	}
	return append(out, ""), nil
}

// storedLogin is what the Docker client has for a registry; zero for none.
func storedLogin(ctx context.Context, server string) (registry.AuthConfig, error) {
	config, err := readClientConfig()
	if err != nil {
		return registry.AuthConfig{}, err
	}
	return config.find(ctx, server)
}

func readClientConfig() (clientConfig, error) {
	directory := os.Getenv("DOCKER_CONFIG")
	if directory == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return clientConfig{}, nil // a daemon without a home has no logins
		}
		directory = filepath.Join(home, ".docker")
	}
	text, err := os.ReadFile(filepath.Join(directory, "config.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return clientConfig{}, nil
	}
	if err != nil {
		return clientConfig{}, fmt.Errorf("read the Docker client's configuration: %w", err)
	}
	var config clientConfig
	if json.Unmarshal(text, &config) != nil {
		// The decoder's words may quote what it could not read, which may be a password.
		return clientConfig{}, errors.New("read the Docker client's configuration: config.json is not valid JSON")
	}
	return config, nil
}

// find looks where the Docker client looks: a helper for this registry, the helper for all, then the file itself.
func (c clientConfig) find(ctx context.Context, server string) (registry.AuthConfig, error) {
	if helper := c.CredHelpers[server]; helper != "" {
		return askHelper(ctx, helper, server)
	}
	if c.CredsStore != "" {
		if auth, err := askHelper(ctx, c.CredsStore, server); err != nil || auth != (registry.AuthConfig{}) {
			return auth, err
		}
	}
	for key, stored := range c.Auths {
		if key == server || hostOf(key) == hostOf(server) && server != dockerHub {
			return stored.decode(server)
		}
	}
	return registry.AuthConfig{}, nil
}

// hostOf strips what old clients wrote around a registry's name: "https://host/v1/" is "host".
func hostOf(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, _, _ := strings.Cut(key, "/")
	return host
}

func (s storedAuth) decode(server string) (registry.AuthConfig, error) {
	out := registry.AuthConfig{ServerAddress: server, IdentityToken: s.IdentityToken, RegistryToken: s.RegistryToken}
	if s.Auth == "" {
		return out, nil
	}
	decoded, err := base64.StdEncoding.DecodeString(s.Auth)
	user, password, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok {
		return registry.AuthConfig{}, fmt.Errorf("the stored login for %s is not readable", server)
	}
	out.Username, out.Password = user, strings.TrimRight(password, "\x00")
	return out, nil
}

// helperNotFound is what a credential helper prints if it has no login (docker-credential-helpers, credentials/error.go).
const helperNotFound = "credentials not found in native keychain"

// askHelper runs docker-credential-<name> get.
func askHelper(ctx context.Context, name, server string) (registry.AuthConfig, error) {
	if strings.ContainsAny(name, `/\`) {
		return registry.AuthConfig{}, fmt.Errorf("credential helper %q: not a name", name)
	}
	helper := exec.CommandContext(ctx, "docker-credential-"+name, "get")
	helper.Stdin = strings.NewReader(server)
	var stdout bytes.Buffer
	helper.Stdout = &stdout
	if err := helper.Run(); err != nil {
		if strings.Contains(stdout.String(), helperNotFound) {
			return registry.AuthConfig{}, nil
		}
		return registry.AuthConfig{}, fmt.Errorf("ask docker-credential-%s for %s: %w", name, server, err)
	}
	var answer struct{ Username, Secret string }
	if json.Unmarshal(stdout.Bytes(), &answer) != nil {
		return registry.AuthConfig{}, fmt.Errorf("ask docker-credential-%s for %s: the answer is not valid JSON", name, server)
	}
	if answer.Username == "<token>" {
		return registry.AuthConfig{ServerAddress: server, IdentityToken: answer.Secret}, nil
	}
	return registry.AuthConfig{ServerAddress: server, Username: answer.Username, Password: answer.Secret}, nil
}
