package manifests

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// secret is checked after defaults, which move stringData into data.
func (c check) secret(s *corev1.Secret) {
	size := 0
	for _, key := range slices.Sorted(maps.Keys(s.Data)) {
		for _, rule := range validation.IsConfigMapKey(key) {
			e := c.object.errorf(c.secretKey(key).String(), "%s", rule)
			e.Field, _, _ = strings.Cut(e.Field, "[") // the key is not told: a line of an env file may have become one
			c.errs.add(e)
		}
		size += len(s.Data[key])
	}
	if size > maxData {
		c.add(field.NewPath("data"), "must not be larger than %d bytes together", maxData)
	}
	for _, key := range secretKeys[s.Type] {
		if _, there := s.Data[key]; !there {
			c.add(field.NewPath("type"), "Secrets of type %s must have the key %s", s.Type, key)
		}
	}
	c.logins(s)
}

// login is one entry of a file that docker login writes.
type login struct{ Username, Password, Auth, IdentityToken, RegistryToken string }

// logins checks the two forms of such a file; the older one has no level above the registries. Nothing of it is quoted,
// not even a registry. Upstream only asks for JSON (ValidateSecret); but then no image could be pulled with it.
func (c check) logins(s *corev1.Secret) {
	var file struct{ Auths map[string]login }
	key, err := corev1.DockerConfigJsonKey, error(nil)
	switch s.Type {
	case corev1.SecretTypeDockerConfigJson:
		err = json.Unmarshal(s.Data[key], &file)
	case corev1.SecretTypeDockercfg:
		key = corev1.DockerConfigKey
		err = json.Unmarshal(s.Data[key], &file.Auths)
	default:
		return
	}
	if _, there := s.Data[key]; !there {
		return
	}
	at, empty := c.secretKey(key), false
	if err != nil || file.Auths == nil {
		c.add(at, "must be the JSON that docker login writes, with auths")
		return
	}
	for _, l := range file.Auths {
		switch {
		case l == (login{}):
			empty = true
		case l.Auth != "" && !isUserAndPassword(l.Auth):
			c.add(at, "must have the base64 of user:password as auth")
		}
	}
	if empty {
		c.warn(at, "holds no password for one of its registries: docker login has put it into a credential store")
	}
}

// isUserAndPassword follows upstream's decodeDockerConfigFieldAuth (pkg/credentialprovider/config.go).
func isUserAndPassword(auth string) bool {
	text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(auth), "="))
	return err == nil && strings.Contains(string(text), ":")
}

// secretKey is where a key of a Secret was written.
func (c check) secretKey(key string) *field.Path {
	if c.object.Raw != nil {
		if written, ok := c.object.Raw.Object["stringData"].(map[string]any); ok {
			if _, there := written[key]; there {
				return field.NewPath("stringData").Key(key)
			}
		}
	}
	return field.NewPath("data").Key(key)
}

// secretKeys are what upstream requires of the types it knows.
var secretKeys = map[corev1.SecretType][]string{
	corev1.SecretTypeTLS:              {corev1.TLSCertKey, corev1.TLSPrivateKeyKey},
	corev1.SecretTypeSSHAuth:          {corev1.SSHAuthPrivateKey},
	corev1.SecretTypeDockerConfigJson: {corev1.DockerConfigJsonKey},
	corev1.SecretTypeDockercfg:        {corev1.DockerConfigKey},
}
