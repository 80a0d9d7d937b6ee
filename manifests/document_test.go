package manifests

import (
	"encoding/base64"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

// loadText loads one plain file.
func loadText(t *testing.T, text string) (*Set, error) {
	t.Helper()
	return Load(t.Context(), fstest.MapFS{"a.yaml": {Data: []byte(text)}}, ".", Options{})
}

const podWith = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n"

func TestMistakesAreToldWithLineAndField(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"not a number", "apiVersion: example.com/v1\nkind: Foo\nmetadata: {name: a}\nspec: {x: .nan}\n", "a.yaml:4: spec.x: is not a number that JSON knows"},
		{"a key twice", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: a\n  k: b\n", "a.yaml:6: data.k: is there twice"},
		{"the second item of a list", podWith + "  - {name: one, image: 'a:1', ports: [{containerPort: 1}]}\n  - {name: two, image: 'a:1', ports: nope}\n",
			"a.yaml:7: spec.containers[1].ports: must be a list, not a string"},
		{"a quantity", podWith + "  - {name: one, image: 'a:1', resources: {limits: {memory: lots}}}\n",
			"a.yaml:6: spec.containers[0].resources.limits.memory: must be a quantity, as 100m, 0.5 or 64Mi"},
		{"a number too large", podWith + "  - {name: one, image: 'a:1', ports: [{containerPort: 99999999999}]}\n",
			"a.yaml:6: spec.containers[0].ports[0].containerPort: must be a whole number of 32 bits"},
		{"the value of a key", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  fine: a\n  a.txt: 5\n", "a.yaml:6: data[a.txt]: must be a string, not a number"},
		{"a name that is a number", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 5}\n", "a.yaml:3: metadata.name: must be a string: put it in quotes"},
		{"no name", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "a.yaml:3: metadata.name: is missing"},
		{"an anchor that is not there", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {k: *canary}\n", "a.yaml: refers to an anchor that is not defined"},
		{"not an object", "- one\n- two\n", "a.yaml:1: is not an object: it must begin with apiVersion and kind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := loadText(t, c.text); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestValuesOfTheWrongTypeHideNoOtherMistake(t *testing.T) {
	runCases(t, []validateCase{{name: "many in one object", yaml: `
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, labels: {tier: 1}}
spec:
  replicas: three
  minReadySeconds: -1
  selector: app
  template:
    metadata: {labels: {app: a}}
    spec:
      restartPolice: Always
      containers:
      - {name: one, image: 'a:1', ports: [{containerPort: http}, {containerPort: 70000}], resources: {limits: {cpu: lots, memory: more}}}
      - {name: one, image: 'a:1', envFrom: [{configMapRef: {name: gone}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 0}]}
`, errors: []string{
		"a.yaml:3: metadata.labels[tier]: must be a string, not a number",
		"a.yaml:5: spec.replicas: must be a whole number, not a string",
		"a.yaml:6: spec.minReadySeconds: must be greater than or equal to 0",
		"a.yaml:7: spec.selector: must be a map with fields, not a string",
		"a.yaml:11: spec.template.spec.restartPolice: unknown field",
		"a.yaml:13: spec.template.spec.containers[0].ports[0].containerPort: must be a whole number, not a string",
		"a.yaml:13: spec.template.spec.containers[0].ports[1].containerPort: must be between 1 and 65535, inclusive",
		"a.yaml:13: spec.template.spec.containers[0].resources.limits.cpu: must be a quantity, as 100m, 0.5 or 64Mi",
		"a.yaml:13: spec.template.spec.containers[0].resources.limits.memory: must be a quantity, as 100m, 0.5 or 64Mi",
		"a.yaml:14: spec.template.spec.containers[1].envFrom[0].configMapRef.name: ConfigMap default/gone is not in the commit: add it, or mark the reference optional",
		"a.yaml:14: spec.template.spec.containers[1].name: container one is there twice",
		"a.yaml:19: spec.ports[0].port: must be between 1 and 65535, inclusive",
	}}})
}

func TestAnUnknownFieldDoesNotMakeReferencesLookWrong(t *testing.T) {
	_, err := loadText(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndataa: {}\n---\n"+podWith+
		"  - {name: one, image: 'a:1', envFrom: [{configMapRef: {name: a}}]}\n")
	if err == nil || err.Error() != "a.yaml:4: dataa: unknown field" {
		t.Error(err)
	}
}

// TestAPatchedFieldIsNotToldWithTheLineItCameFrom: the origin says replicas: 1 there.
func TestAPatchedFieldIsNotToldWithTheLineItCameFrom(t *testing.T) {
	_, err := Load(t.Context(), fstest.MapFS{
		"kustomization.yaml": {Data: []byte("resources: [d.yaml]\nreplicas: [{name: a, count: -1}]\n")},
		"d.yaml": {Data: []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: 1\n  selector: {matchLabels: {a: b}}\n" +
			"  template:\n    metadata: {labels: {a: b}}\n    spec:\n      containers: [{name: one, image: 'a:1'}]\n")},
	}, ".", Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "d.yaml: Deployment default/a: spec.replicas: ") {
		t.Error(err)
	}
}

// TestAliasesExpandToLittle: files that stand for billions of values, or for themselves, are refused at once; honest
// aliases work.
func TestAliasesExpandToLittle(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		n, m := string(rune('0'+i)), string(rune('1'+i))
		bomb += "a" + m + ": &a" + m + " [" + strings.Repeat("*a"+n+", ", 9) + "]\n"
	}
	long := "a: &a " + strings.Repeat("x", 10_000) + "\nb: [" + strings.Repeat("*a, ", 5_000) + "]\n"
	for name, text := range map[string]string{"lists of lists": bomb, "long strings": long, "itself": "a: &a {x: *a}\n", "many documents": strings.Repeat(bomb+"---\n", 60)} {
		start := time.Now()
		if _, err := loadText(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"+text); err == nil || !strings.Contains(err.Error(), "aliases stand for") {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: refused after %v", name, took)
		}
	}
	set, err := loadText(t, podWith+"  - &c {name: one, image: 'a:1', args: &args [x, y]}\n  - {<<: *c, name: two, args: *args}\n")
	if err != nil || len(set.Objects) != 1 {
		t.Errorf("honest aliases: %v", err)
	}
}

// TestNoErrorQuotesASecret: values in Secrets, and in what makes Secrets, with a mistake each.
func TestNoErrorQuotesASecret(t *testing.T) {
	const head = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
	for name, files := range map[string]map[string]string{
		"literal":       {"kustomization.yaml": "secretGenerator: [{name: s, literals: [hunter2canary]}]\n"},
		"env":           {"kustomization.yaml": "secretGenerator: [{name: s, envs: [e]}]\n", "e": "a b=hunter2canary\n"},
		"env line":      {"kustomization.yaml": "secretGenerator: [{name: s, envs: [e]}]\n", "e": "1bad key hunter2canary\n"},
		"patch":         {"kustomization.yaml": "resources: [s.yaml]\npatches: [{patch: 'stringData: {k: hunter2canary}'}]\n", "s.yaml": head},
		"base64":        {"s.yaml": head + "data: {k: 'hunter2canary!'}\n"},
		"no metadata":   {"s.yaml": "apiVersion: v1\nkind: Secret\nstringData: {k: hunter2canary}\n"},
		"tag":           {"s.yaml": head + "stringData: {k: !!int hunter2canary}\n"},
		"key":           {"s.yaml": head + "stringData: {k: {hunter2canary: 1}}\n"},
		"anchor":        {"s.yaml": head + "stringData: {k: *hunter2canary}\n"},
		"invalid field": {"s.yaml": head + "stringData: {k: hunter2canary}\nbogus: 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			tree := fstest.MapFS{}
			for path, text := range files {
				tree[path] = &fstest.MapFile{Data: []byte(text)}
			}
			if _, err := Load(t.Context(), tree, ".", Options{}); err == nil {
				t.Error("accepted")
			} else if strings.Contains(err.Error(), "canary") {
				t.Errorf("quotes the secret: %v", err)
			}
		})
	}
}

func TestALoginIsHiddenInAllItsForms(t *testing.T) {
	const file = `{"auths": {"registry.example.com": {"username": "canary-user", "password": "canary-password"}}}`
	w := &walk{secrets: map[string]bool{}}
	w.hideSecrets(map[string]any{"kind": "Secret", "data": map[string]any{".dockerconfigjson": base64.StdEncoding.EncodeToString([]byte(file))}})
	if got := w.redact("a patch of " + file + " with canary-password for canary-user"); strings.Contains(got, "canary") {
		t.Errorf("shows %s", got)
	}
}

func TestYAMLAndDecodeMakeTheSameSet(t *testing.T) {
	text := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: hunter2canary}\n---\n" + podWith + "  - {name: one, image: 'a:1'}\n"
	set, err := loadText(t, text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode(set.YAML(false), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(again.YAML(false)), string(set.YAML(false)); got != want {
		t.Errorf("decoded:\n%s\nwant:\n%s", got, want)
	}
	if got := again.Objects[1].Position.String(); got != "a.yaml:6" {
		t.Errorf("position %s", got)
	}
	if masked := string(set.YAML(true)); strings.Contains(masked, "canary") || !strings.Contains(masked, "k: '***'") {
		t.Errorf("masked:\n%s", masked)
	}
}

func TestPullPolicyFollowsTheTag(t *testing.T) {
	for image, want := range map[string]string{
		"nginx": "Always", "nginx:latest": "Always", "nginx:1.27": "IfNotPresent", "host:5000/nginx": "Always", "host:5000/nginx:1": "IfNotPresent",
		"nginx@sha256:" + strings.Repeat("a", 64): "IfNotPresent", "nginx:latest@sha256:" + strings.Repeat("a", 64): "Always",
	} {
		if got := string(pullPolicy(image)); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}

// TestTheTemplateHashSeesOnlyWhatAPodSees: comments, order and defaults written out make no difference; an image does.
func TestTheTemplateHashSeesOnlyWhatAPodSees(t *testing.T) {
	hash := func(container string) string {
		set, err := loadText(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  selector: {matchLabels: {a: b}}\n"+
			"  template:\n    metadata: {labels: {a: b}}\n    spec:\n      containers:\n      - "+container+"\n")
		if err != nil {
			t.Fatal(err)
		}
		return TemplateHash(&deployments(set)[0].Spec.Template)
	}
	plain := hash("{name: one, image: 'a:1'}")
	if again := hash("{image: 'a:1', imagePullPolicy: IfNotPresent, name: one} # said at length"); again != plain {
		t.Errorf("%s and %s", plain, again)
	}
	if other := hash("{name: one, image: 'a:2'}"); other == plain {
		t.Error("another image, the same hash")
	}
}

func deployments(set *Set) []*appsv1.Deployment { return All[*appsv1.Deployment](set) }
