package reconcile

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

func dockerConfig(text string) *corev1.Secret {
	return &corev1.Secret{Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(text)}}
}

func names(list ...string) []types.NamespacedName {
	var out []types.NamespacedName
	for _, name := range list {
		out = append(out, types.NamespacedName{Namespace: "default", Name: name})
	}
	return out
}

// TestCredentialsComeFromPullSecrets of both types; the more specific registry first, auth before username and password,
// and what is missing or of another type passed over.
func TestCredentialsComeFromPullSecrets(t *testing.T) {
	set := &manifests.Set{}
	auth := base64.StdEncoding.EncodeToString([]byte("anna:pass:word"))
	add(set, "Secret", "json", dockerConfig(`{"auths":{
		"registry.example.com":{"auth":"`+auth+`","username":"other"},
		"https://index.docker.io/v1/":{"username":"hub","password":"h","email":"a@example.com"},
		"token.example.com":{"identitytoken":"i","registrytoken":"r"}}}`))
	add(set, "Secret", "old", &corev1.Secret{Type: corev1.SecretTypeDockercfg, Data: map[string][]byte{
		corev1.DockerConfigKey: []byte(`{"registry.example.com/team":{"username":"team","password":"t"}}`)}})
	add(set, "Secret", "opaque", &corev1.Secret{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte("{")}})
	got, err := credentialsOf(set, names("json", "missing", "old", "opaque"))
	if err != nil {
		t.Fatal(err)
	}
	want := []runtime.Credential{
		{Registry: "token.example.com", IdentityToken: "i", RegistryToken: "r"},
		{Registry: "registry.example.com/team", Username: "team", Password: "t"},
		{Registry: "registry.example.com", Username: "anna", Password: "pass:word"},
		{Registry: "https://index.docker.io/v1/", Username: "hub", Password: "h"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

// TestNoErrorQuotesACredential, however broken the Secret is.
func TestNoErrorQuotesACredential(t *testing.T) {
	for _, text := range []string{
		`{"auths":{"r.example.com":{"auth":"hunter2"}}}`, `{"auths":"hunter2"}`, `hunter2`, `{"auths":{"r.example.com":{"password":["hunter2"]}}}`,
	} {
		set := &manifests.Set{}
		add(set, "Secret", "s", dockerConfig(text))
		_, err := credentialsOf(set, names("s"))
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.HasPrefix(err.Error(), "read imagePullSecret default/s: ") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestAServiceAccountLendsItsPullSecrets to pods that have none of their own.
func TestAServiceAccountLendsItsPullSecrets(t *testing.T) {
	set := &manifests.Set{}
	add(set, "ServiceAccount", "default", &corev1.ServiceAccount{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "shared"}}})
	spec := &corev1.PodSpec{}
	if got := pullSecrets(set, "default", spec); !slices.Equal(got, names("shared")) {
		t.Errorf("%v", got)
	}
	spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "own"}}
	if got := pullSecrets(set, "default", spec); !slices.Equal(got, names("own")) {
		t.Errorf("%v", got)
	}
}

// TestAChangedPullSecretIsANewChance for an image in back-off; a commit that changes none is not.
func TestAChangedPullSecretIsANewChance(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {PullError: "unauthorized"}}, func(y *yard) {
		set := func(password string) *manifests.Set {
			pod := onePod(corev1.Container{Name: "main"})
			pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "s"}}
			set := commitOf(pod)
			add(set, "Secret", "s", dockerConfig(`{"auths":{"r.example.com":{"username":"u","password":"`+password+`"}}}`))
			return set
		}
		first := set("wrong")
		if err := y.r.pullImage(y.Context(), first, plan.PullImage{Image: "main:1", Secrets: names("s")}); err == nil {
			t.Fatal("the pull did not fail")
		}
		y.r.SetDesired(set("wrong"))
		if y.r.pulls["main:1"].failures != 1 {
			t.Error("a commit that changes nothing ends the back-off")
		}
		y.r.SetDesired(set("right"))
		if y.r.pulls["main:1"].failures != 0 {
			t.Error("the back-off goes on")
		}
	})
}

// TestImagesOfInitContainersAreLookedUp, too.
func TestImagesOfInitContainersAreLookedUp(t *testing.T) {
	pod := onePod(sidecar("log"), corev1.Container{Name: "main"})
	if got := imagesOf(commitOf(pod)); !slices.Equal(got, []string{"log:1", "main:1"}) {
		t.Errorf("%v", got)
	}
}

func TestImagesOfAllKindsThatMakePodsAreLookedUp(t *testing.T) {
	template := func(image string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}}}
	}
	set, controlled := &manifests.Set{}, template("controlled:1")
	add(set, "Deployment", "a", &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: template("deployed:1")}})
	add(set, "ReplicaSet", "a", &appsv1.ReplicaSet{Spec: appsv1.ReplicaSetSpec{Template: template("replicated:1")}})
	add(set, "ReplicationController", "a", &corev1.ReplicationController{Spec: corev1.ReplicationControllerSpec{Template: &controlled}})
	add(set, "StatefulSet", "a", &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Template: template("stateful:1")}})
	add(set, "DaemonSet", "a", &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: template("everywhere:1")}})
	if got := imagesOf(set); !slices.Equal(got, []string{"controlled:1", "deployed:1", "everywhere:1", "replicated:1", "stateful:1"}) {
		t.Errorf("%v", got)
	}
}
