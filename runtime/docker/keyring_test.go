package docker

import (
	"slices"
	"testing"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"

	"github.com/podyard/podyard/runtime"
)

func basicAuth(t *testing.T, user, password string) string {
	t.Helper()
	return got(registry.EncodeAuthConfig(registry.AuthConfig{Username: user, Password: password}))(t)
}

func TestCredentialsFitAsInTheKubelet(t *testing.T) {
	for _, c := range []struct {
		image      string
		registries []string
		want       []string
	}{
		{"registry.test/team/app", []string{"registry.test", "other.test"}, []string{"registry.test"}},
		{"registry.test/team/app", []string{"registry.test", "registry.test/team", "registry.test/else"}, []string{"registry.test/team", "registry.test"}},
		{"registry.test/team/app", []string{"https://registry.test/v1/", "http://registry.test/v2/team"}, []string{"http://registry.test/v2/team", "https://registry.test/v1/"}},
		{"a.registry.test/app", []string{"*.registry.test", "*.test", "registry.test"}, []string{"*.registry.test"}},
		{"registry.test:5000/app", []string{"registry.test", "registry.test:5000", "*.test:5000"}, []string{"registry.test:5000", "*.test:5000"}},
		{"nginx", []string{"https://index.docker.io/v1/", "registry.test"}, []string{"https://index.docker.io/v1/"}},
		{"nginx", []string{"https://index.docker.io/v1/", "docker.io/library"}, []string{"docker.io/library"}},
		{"team/app", []string{"index.docker.io"}, []string{"index.docker.io"}},
		{"registry.test/app", []string{"index.docker.io", "", "::"}, nil},
		{"registry.test/app", []string{"registry.test", "registry.test"}, []string{"registry.test", "registry.test"}},
	} {
		var given []runtime.Credential
		for _, r := range c.registries {
			given = append(given, runtime.Credential{Registry: r})
		}
		var fit []string
		for _, f := range fitting(given, got(reference.ParseNormalizedNamed(c.image))(t)) {
			fit = append(fit, f.Registry)
		}
		if !slices.Equal(fit, c.want) {
			t.Errorf("%s of %q: %q, want %q", c.image, c.registries, fit, c.want)
		}
	}
}

func TestAPullTriesItsCredentialsThenTheClientsThenNone(t *testing.T) {
	e := newEngine(t)
	ref := busybox(t, e.cli)
	address := serveRegistry(t, "ann", "hush-hush")
	as := address + "/team/app:v1"
	pushImage(t, e.cli, ref, as, basicAuth(t, "ann", "hush-hush"))
	right := runtime.Credential{Registry: address, Username: "ann", Password: "hush-hush"}
	wrong := runtime.Credential{Registry: address + "/team", Username: "ann", Password: "stale-secret"}
	elsewhere := runtime.Credential{Registry: "elsewhere.test", Username: "ann", Password: "hush-hush"}

	dockerConfig(t, `{}`)
	got(e.PullImage(t.Context(), as, []runtime.Credential{elsewhere, wrong, right}))(t)
	_, err := e.PullImage(t.Context(), as, []runtime.Credential{elsewhere, wrong})
	saysNoSecret(t, err, as)
	_, err = e.PullImage(t.Context(), as, nil)
	saysNoSecret(t, err, as)

	dockerConfig(t, `{"auths": {"`+address+`": {"auth": "`+login("ann", "hush-hush")+`"}}}`)
	got(e.PullImage(t.Context(), as, []runtime.Credential{wrong}))(t)
	dockerConfig(t, `{"auths": {"`+address+`": {"auth": "`+login("ann", "stale-secret")+`"}}}`)
	got(e.PullImage(t.Context(), as, []runtime.Credential{right}))(t)

	open := serveRegistry(t, "", "")
	public := open + "/team/app:v1"
	pushImage(t, e.cli, ref, public, "")
	dockerConfig(t, `{}`)
	got(e.PullImage(t.Context(), public, []runtime.Credential{{Registry: open, Username: "ann", Password: "stale-secret"}}))(t)
}
