package reconcile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// pull is the loop's memory of a pull; after a restart of the daemon it starts anew, which does no harm.
type pull struct {
	pulling  bool
	failures int
	err      string
	failedAt time.Time
	// secrets were offered by the last one; logins is a hash of what they held.
	secrets []types.NamespacedName
	logins  string
}

func (r *Reconciler) pullImage(ctx context.Context, set *manifests.Set, a plan.PullImage) error {
	r.notePull(a.Image, func(p *pull) { p.pulling = true })
	credentials, err := credentialsOf(set, a.Secrets)
	if err == nil {
		_, err = r.runtime.PullImage(ctx, a.Image, credentials)
	}
	r.notePull(a.Image, func(p *pull) {
		if err == nil || ctx.Err() != nil {
			*p = pull{}
			return
		}
		p.pulling, p.err, p.failedAt = false, err.Error(), time.Now()
		p.secrets, p.logins = a.Secrets, loginsHash(set, a.Image, a.Secrets)
		p.failures++
	})
	return err
}

func (r *Reconciler) notePull(image string, change func(*pull)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pulls[image]
	change(&p)
	r.pulls[image] = p
}

// forgivePulls gives images a new chance for which a commit brings other logins. The caller holds mu.
func (r *Reconciler) forgivePulls(set *manifests.Set) {
	for image, p := range r.pulls {
		if p.failures > 0 && !p.pulling && p.logins != loginsHash(set, image, p.secrets) {
			delete(r.pulls, image)
		}
	}
}

// loginsHash names what the Secrets hold that pods of the commit offer for an image, and those that were offered last.
func loginsHash(set *manifests.Set, image string, offered []types.NamespacedName) string {
	names := map[types.NamespacedName]bool{}
	for _, name := range offered {
		names[name] = true
	}
	for _, t := range manifests.Templates(set) {
		if slices.ContainsFunc(containersOf(t.Spec), func(c *corev1.Container) bool { return c.Image == image }) {
			for _, name := range pullSecrets(set, t.Object.Namespace, t.Spec) {
				names[name] = true
			}
		}
	}
	hash := sha256.New()
	for _, name := range slices.SortedFunc(maps.Keys(names), compareNames) {
		secret := secretData(set, name.Namespace, name.Name)
		for _, key := range secret.keys() {
			fmt.Fprintf(hash, "%s %q %q\n", name, key, secret.data[key])
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// pullSecrets are the imagePullSecrets of a pod, or if it has none those of its ServiceAccount. Upstream:
// plugin/pkg/admission/serviceaccount.
func pullSecrets(set *manifests.Set, namespace string, spec *corev1.PodSpec) []types.NamespacedName {
	refs := spec.ImagePullSecrets
	if len(refs) == 0 {
		if object := set.Find("ServiceAccount", namespace, cmp.Or(spec.ServiceAccountName, "default")); object != nil {
			if account, ok := object.Value.(*corev1.ServiceAccount); ok {
				refs = account.ImagePullSecrets
			}
		}
	}
	var out []types.NamespacedName
	for _, ref := range refs {
		out = append(out, types.NamespacedName{Namespace: namespace, Name: ref.Name})
	}
	return out
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// containersOf are the init containers and the app containers.
func containersOf(spec *corev1.PodSpec) []*corev1.Container {
	var out []*corev1.Container
	for i := range spec.InitContainers {
		out = append(out, &spec.InitContainers[i])
	}
	for i := range spec.Containers {
		out = append(out, &spec.Containers[i])
	}
	return out
}

// imagesOf lists every image of the commit's pods once, sorted.
func imagesOf(set *manifests.Set) []string {
	var refs []string
	for _, t := range manifests.Templates(set) {
		for _, c := range containersOf(t.Spec) {
			refs = append(refs, c.Image)
		}
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

// credentialsOf reads the logins that Secrets hold, the more specific registry first. A Secret that is missing or of
// another type is passed over. Upstream: MakeDockerKeyring (pkg/credentialprovider/secrets) and BasicDockerKeyring.
func credentialsOf(set *manifests.Set, secrets []types.NamespacedName) ([]runtime.Credential, error) {
	var out []runtime.Credential
	for _, name := range secrets {
		object := set.Find("Secret", name.Namespace, name.Name)
		if object == nil || object.Value == nil {
			continue
		}
		found, err := logins(object.Value.(*corev1.Secret))
		if err != nil {
			return nil, fmt.Errorf("read imagePullSecret %s: %w", name, err)
		}
		out = append(out, found...)
	}
	slices.SortStableFunc(out, func(a, b runtime.Credential) int {
		return cmp.Compare(bareRegistry(b.Registry), bareRegistry(a.Registry))
	})
	return out, nil
}

// bareRegistry is a registry without the scheme that old clients wrote before it.
func bareRegistry(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
}

// storedLogin is one entry of a Docker client's configuration.
type storedLogin struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// logins reads a Secret of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg. No error quotes what it could
// not read.
func logins(secret *corev1.Secret) ([]runtime.Credential, error) {
	var config struct {
		Auths map[string]storedLogin `json:"auths"`
	}
	var err error
	switch secret.Type {
	case corev1.SecretTypeDockerConfigJson:
		err = json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &config)
	case corev1.SecretTypeDockercfg:
		err = json.Unmarshal(secret.Data[corev1.DockerConfigKey], &config.Auths)
	}
	if err != nil {
		return nil, fmt.Errorf("its data is not the JSON of a Docker client's configuration")
	}
	var out []runtime.Credential
	for _, name := range slices.Sorted(maps.Keys(config.Auths)) {
		credential, err := config.Auths[name].credential(name)
		if err != nil {
			return nil, err
		}
		out = append(out, credential)
	}
	return out, nil
}

// credential: auth is base64 of "user:password" and goes before the two by themselves, as upstream's
// DockerConfigEntry reads it (pkg/credentialprovider/config.go).
func (l storedLogin) credential(registry string) (runtime.Credential, error) {
	out := runtime.Credential{Registry: registry, Username: l.Username, Password: l.Password,
		IdentityToken: l.IdentityToken, RegistryToken: l.RegistryToken}
	if l.Auth == "" {
		return out, nil
	}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(l.Auth), "="))
	user, password, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok {
		return out, fmt.Errorf("auth of %s is not base64 of user:password", registry)
	}
	out.Username, out.Password = user, strings.TrimRight(password, "\x00")
	return out, nil
}
