package manifests

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// verdict is what Podyard does with a field.
type verdict string

const (
	// honoured: it means what it means in a cluster.
	honoured verdict = "honoured"
	// silent: ignored without a word, as the API server does.
	silent verdict = "ignored"
	// ignored: accepted with a warning.
	ignored verdict = "ignored with a warning"
	// denied: the commit is refused, because without it the application would not be what its author wrote.
	denied verdict = "refused"
)

// rule is one entry of the table of fields. Of several rules for one path the first that applies to the value counts.
type rule struct {
	// path of the field; [] stands for list items, * for the keys of a map. An honoured path is that of one field; any
	// other covers all below it, too.
	path    string
	verdict verdict
	// why, for people; of an honoured field, its limits, if there are any.
	why string
	// only and unless limit the rule to values, or except values: mostly that to which upstream defaults. Empty values
	// and false are always excepted, unless a boolean is named here or present is set.
	only, unless []any
	// present: null is the only value that does not count.
	present bool
}

// kind is one entry of the table of kinds.
type kind struct {
	apiVersion, name string
	// newObject makes the typed object; nil if Podyard does nothing with the kind.
	newObject func() any
	verdict   verdict
	why       string
	fields    []rule
}

// kinds is the table of kinds; fields of pods are in support_pod.go, those of workloads in support_workload.go,
// kinds that lead to pods in support_network.go, kinds that bound others in support_policy.go.
var kinds = slices.Concat(supportedKinds, otherKinds)

var supportedKinds = slices.Concat(objectKinds, networkKinds, policyKinds)

var objectKinds = []kind{
	{"v1", "Namespace", func() any { return &corev1.Namespace{} }, honoured, "", slices.Concat(objectFields, statusFields, namespaceFields)},
	{"v1", "ConfigMap", func() any { return &corev1.ConfigMap{} }, honoured, "", slices.Concat(objectFields, configMapFields)},
	{"v1", "Secret", func() any { return &corev1.Secret{} }, honoured, "", slices.Concat(objectFields, secretFields)},
	{"v1", "Pod", func() any { return &corev1.Pod{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", podFields))},
	{"v1", "Service", func() any { return &corev1.Service{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", serviceFields))},
	{"v1", "ServiceAccount", func() any { return &corev1.ServiceAccount{} }, honoured, "", slices.Concat(objectFields, serviceAccountFields)},
	{"v1", "PersistentVolumeClaim", func() any { return &corev1.PersistentVolumeClaim{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", claimFields))},
	{"v1", "PersistentVolume", func() any { return &corev1.PersistentVolume{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", persistentFields))},
	{"storage.k8s.io/v1", "StorageClass", func() any { return &storagev1.StorageClass{} }, honoured, "", slices.Concat(objectFields, storageClassFields)},
	{"node.k8s.io/v1", "RuntimeClass", func() any { return &nodev1.RuntimeClass{} }, honoured, "", slices.Concat(objectFields, runtimeClassFields)},
	{"v1", "ReplicationController", func() any { return &corev1.ReplicationController{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", replicationControllerFields))},
	{"apps/v1", "ReplicaSet", func() any { return &appsv1.ReplicaSet{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", replicaSetFields))},
	{"apps/v1", "Deployment", func() any { return &appsv1.Deployment{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", deploymentFields))},
	{"apps/v1", "StatefulSet", func() any { return &appsv1.StatefulSet{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", statefulSetFields))},
	{"apps/v1", "DaemonSet", func() any { return &appsv1.DaemonSet{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", daemonSetFields))},
	{"batch/v1", "Job", func() any { return &batchv1.Job{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", jobFields))},
	{"autoscaling/v2", "HorizontalPodAutoscaler", func() any { return &autoscalingv2.HorizontalPodAutoscaler{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", autoscalerFields))},
	{"autoscaling/v1", "HorizontalPodAutoscaler", func() any { return &autoscalingv1.HorizontalPodAutoscaler{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", autoscalerV1Fields))},
	{"batch/v1", "CronJob", func() any { return &batchv1.CronJob{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", cronJobFields))},
}

const (
	notYet  = "not supported yet"
	oneHost = "has no meaning on one Docker host"
	// acmeInstead is what happens instead of what an issuer of cert-manager says.
	acmeInstead = "Podyard asks for the certificates of Ingresses itself, from the one ACME server that podyard run was told (--acme-directory)"
)

// otherKinds are those of which Podyard says more than that it does not know them.
var otherKinds = []kind{
	{"apiextensions.k8s.io/v1", "CustomResourceDefinition", nil, ignored, oneHost + ": there is no API server to extend", nil},
	{"networking.k8s.io/v1", "NetworkPolicy", nil, denied, "NetworkPolicy is not supported yet, and ignoring it would be unsafe: traffic that it forbids would be let through. Take it out of what Podyard applies, as with a kustomize patch with $patch: delete", nil},
	{"cert-manager.io/v1", "Issuer", nil, ignored, acmeInstead, nil},
	{"cert-manager.io/v1", "ClusterIssuer", nil, ignored, acmeInstead, nil},
	{"cert-manager.io/v1", "Certificate", nil, ignored, "Podyard makes no Secret of it: it asks for the certificates of Ingresses with the annotation podyard.dev/acme itself", nil},
}

// kindSupport looks a kind up. newObject makes its typed object; else unsupported says why Podyard does nothing with it,
// or refused why the commit cannot be accepted.
func kindSupport(apiVersion, name string) (newObject func() any, unsupported, refusal string) {
	entry := findKind(apiVersion, name)
	switch {
	case entry == nil:
		return nil, "Podyard does not know this kind", ""
	case entry.verdict == denied:
		return nil, "", entry.why
	case entry.newObject == nil:
		return nil, entry.why, ""
	case entry.apiVersion != apiVersion:
		return nil, fmt.Sprintf("Podyard does not know apiVersion %s of this kind: use %s", apiVersion, entry.apiVersion), ""
	}
	return entry.newObject, "", ""
}

// NoEffect says why an object that is read and checked does nothing here; empty if it does something.
func NoEffect(ref Ref) string {
	if entry := findKind(ref.APIVersion, ref.Kind); entry != nil && entry.verdict == silent {
		return entry.why
	}
	return ""
}

// findKind finds a kind in its version, or else in any of its group; kinds in the group "extensions" have moved to others
// since.
func findKind(apiVersion, name string) *kind {
	group := groupOf(apiVersion)
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name && k.apiVersion == apiVersion })
	if i < 0 {
		i = slices.IndexFunc(kinds, func(k kind) bool {
			return k.name == name && (groupOf(k.apiVersion) == group || group == "extensions" && k.apiVersion != "v1")
		})
	}
	if i < 0 {
		return nil
	}
	return &kinds[i]
}

func groupOf(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

// checkFields compares what is written in an object, before defaults, with the table.
func checkFields(o *Object) ([]Warning, Errors) {
	c := fieldCheck{object: o}
	if tree := fieldTrees[o.APIVersion+" "+o.Kind]; tree != nil && o.Raw != nil {
		c.walk(tree, "", o.Raw.Object)
	}
	return c.warnings, c.errs
}

type fieldCheck struct {
	object   *Object
	warnings []Warning
	errs     Errors
}

func (c *fieldCheck) walk(node *fieldNode, field string, value any) {
	switch r := node.judge(value); r.verdict {
	case silent:
		return
	case ignored:
		c.warnings = append(c.warnings, Warning{Position: c.object.positionOf(field), Object: c.object.Ref, Field: field, Message: r.why})
		return
	case denied:
		c.errs.add(c.object.errorf(field, "%s", r.why))
		return
	}
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if child, path := node.field(field, key); child != nil {
				c.walk(child, path, value[key])
			}
		}
	case []any:
		for i, item := range value {
			if child := node.children["[]"]; child != nil {
				c.walk(child, fmt.Sprintf("%s[%d]", field, i), item)
			}
		}
	}
}

// fieldNode is the rules of one kind, as a tree by steps of their paths.
type fieldNode struct {
	rules    []rule
	children map[string]*fieldNode
}

var fieldTrees = func() map[string]*fieldNode {
	out := map[string]*fieldNode{}
	for _, k := range supportedKinds {
		root := &fieldNode{}
		for _, r := range k.fields {
			root.add(r)
		}
		out[k.apiVersion+" "+k.name] = root
	}
	return out
}()

func (n *fieldNode) add(r rule) {
	for _, step := range steps(r.path) {
		if n.children == nil {
			n.children = map[string]*fieldNode{}
		}
		if n.children[step] == nil {
			n.children[step] = &fieldNode{}
		}
		n = n.children[step]
	}
	n.rules = append(n.rules, r)
}

// field is the node of a field or map key, and its path.
func (n *fieldNode) field(parent, key string) (*fieldNode, string) {
	path := strings.TrimPrefix(parent+"."+key, ".")
	if child := n.children[key]; child != nil {
		return child, path
	}
	if strings.ContainsAny(key, ".[]") {
		path = parent + "[" + key + "]"
	}
	return n.children["*"], path
}

// judge is the first rule that applies to a value; the zero rule if none does.
func (n *fieldNode) judge(value any) rule {
	for _, r := range n.rules {
		if r.applies(value) {
			return r
		}
	}
	return rule{}
}

func (r rule) applies(value any) bool {
	switch {
	case r.verdict == honoured:
		return true
	case value == nil:
		return false
	case r.only != nil:
		return contains(r.only, value)
	case contains(r.unless, value):
		return false
	}
	return r.present || !r.neutral(value)
}

// neutral values ask for nothing.
func (r rule) neutral(value any) bool {
	switch value := value.(type) {
	case string:
		return value == ""
	case bool:
		return !value && !contains(r.unless, true)
	case []any:
		return len(value) == 0
	case map[string]any:
		return len(value) == 0
	}
	return false
}

// contains compares by value; the tables hold numbers as int64, as a document does.
func contains(list []any, value any) bool {
	return slices.ContainsFunc(list, func(v any) bool { return reflect.DeepEqual(v, value) })
}

// steps cuts a[].b.* into a, [], b, *.
func steps(path string) []string {
	return strings.FieldsFunc(strings.ReplaceAll(path, "[]", ".[]"), func(r rune) bool { return r == '.' })
}

// The tables are written with these.

func honour(paths ...string) []rule { return rules(honoured, "", paths) }

// honourWith says what limits there are.
func honourWith(limits string, paths ...string) []rule { return rules(honoured, limits, paths) }

func ignore(why string, paths ...string) []rule { return rules(ignored, why, paths) }

func ignoreSilently(why string, paths ...string) []rule { return rules(silent, why, paths) }

func refuse(why string, paths ...string) []rule { return rules(denied, why, paths) }

// rules makes a rule of each path; a.{b,c} stands for a.b and a.c.
func rules(v verdict, why string, paths []string) []rule {
	var out []rule
	for _, path := range paths {
		before, inner, braces := strings.Cut(path, "{")
		inner, after, _ := strings.Cut(inner, "}")
		if !braces {
			out = append(out, rule{path: path, verdict: v, why: why})
			continue
		}
		for _, name := range strings.Split(inner, ",") {
			out = append(out, rule{path: before + name + after, verdict: v, why: why})
		}
	}
	return out
}

// unless excepts values, only limits to values, whenPresent makes empty values count.

func unless(list []rule, values ...any) []rule {
	return each(list, func(r *rule) { r.unless = values })
}

func only(list []rule, values ...any) []rule {
	return each(list, func(r *rule) { r.only = values })
}

func whenPresent(list []rule) []rule { return each(list, func(r *rule) { r.present = true }) }

// under puts rules below a field.
func under(parent string, list []rule) []rule {
	return each(list, func(r *rule) { r.path = parent + "." + r.path })
}

func each(list []rule, change func(*rule)) []rule {
	out := slices.Clone(list)
	for i := range out {
		change(&out[i])
	}
	return out
}
