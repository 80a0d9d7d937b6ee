package docker

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"
)

// dockerConfig makes a Docker client configuration that this test uses.
func dockerConfig(t *testing.T, text string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	must(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600))
}

// helper puts a credential helper in the PATH: a script that gets the server's name as $server.
func helper(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\nserver=$(cat)\n"+script+"\n"), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func authFor(t *testing.T, ref string) registry.AuthConfig {
	t.Helper()
	encoded := got(logins(t.Context(), got(reference.ParseNormalizedNamed(ref))(t), nil))(t)[0]
	var auth registry.AuthConfig
	if encoded == "" {
		return auth
	}
	text, err := base64.URLEncoding.DecodeString(encoded)
	must(t, err)
	must(t, json.Unmarshal(text, &auth))
	return auth
}

func login(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func TestLoginsInTheFileAreFound(t *testing.T) {
	dockerConfig(t, `{"auths": {
		"registry.test:5000": {"auth": "`+login("ann", "a:b")+`"},
		"https://old.test/v1/": {"auth": "`+login("bob", "c")+`"},
		"https://index.docker.io/v1/": {"auth": "`+login("cid", "d")+`"},
		"token.test": {"identitytoken": "tok"}}}`)
	for ref, want := range map[string][3]string{
		"registry.test:5000/team/app:v1": {"ann", "a:b", ""},
		"old.test/app":                   {"bob", "c", ""},
		"nginx":                          {"cid", "d", ""},
		"token.test/app":                 {"", "", "tok"},
		"other.test/app":                 {"", "", ""},
		"registry.test/app":              {"", "", ""},
	} {
		if a := authFor(t, ref); [3]string{a.Username, a.Password, a.IdentityToken} != want {
			t.Errorf("%s: %+v, want %v", ref, a, want)
		}
	}
}

func TestCredentialHelpersAreAsked(t *testing.T) {
	dockerConfig(t, `{"credsStore": "all", "credHelpers": {"one.test": "one"}, "auths": {"file.test": {"auth": "`+login("f", "g")+`"}}}`)
	helper(t, "one", `echo "{\"Username\":\"one\",\"Secret\":\"for $server\"}"`)
	helper(t, "all", `[ "$server" = all.test ] || { echo credentials not found in native keychain; exit 1; }; echo '{"Username":"<token>","Secret":"tok"}'`)
	if a := authFor(t, "one.test/app"); a.Username != "one" || a.Password != "for one.test" {
		t.Errorf("helper of one registry: %+v", a)
	}
	if a := authFor(t, "all.test/app"); a.IdentityToken != "tok" || a.Username != "" {
		t.Errorf("helper of all: %+v", a)
	}
	if a := authFor(t, "file.test/app"); a.Username != "f" {
		t.Errorf("the file, when the helper knows nothing: %+v", a)
	}
}

func TestNoErrorOfALoginTellsTheSecret(t *testing.T) {
	helper(t, "bad", `echo '{"Username":"u","Secret":"hush'; exit 0`)
	for _, config := range []string{
		`{"auths": {"a.test": {"auth": "hush!"}}}`,
		`{"auths": {"a.test": {"auth": "` + base64.StdEncoding.EncodeToString([]byte("hush")) + `"}}}`,
		`{"auths": {"a.test": {"auth": hush}}}`,
		`{"credHelpers": {"a.test": "bad"}}`,
		`{"credHelpers": {"a.test": "../hush"}}`,
	} {
		dockerConfig(t, config)
		_, err := logins(t.Context(), got(reference.ParseNormalizedNamed("a.test/app"))(t), nil)
		if err == nil || strings.Contains(err.Error(), "hush'") || strings.Contains(err.Error(), "hush!") {
			t.Errorf("%s: %v, want an error without the secret", config, err)
		}
	}
}

func TestNoConfigurationMeansNoLogin(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	if a := authFor(t, "a.test/app"); a != (registry.AuthConfig{}) {
		t.Errorf("%+v", a)
	}
}
