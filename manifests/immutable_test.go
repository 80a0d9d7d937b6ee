package manifests_test

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/podyard/podyard/manifests"
)

// TestASelectorCannotChange of what has pods; a ReplicationController's can.
func TestASelectorCannotChange(t *testing.T) {
	load := func(kind, name, app string) *manifests.Set {
		t.Helper()
		version, selector := "apps/v1", "{matchLabels: {app: "+app+"}}"
		if kind == "ReplicationController" {
			version, selector = "v1", "{app: "+app+"}"
		}
		text := fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s}\nspec:\n  selector: %s\n"+
			"  template:\n    metadata: {labels: {app: %s}}\n    spec: {containers: [{name: main, image: a}]}\n", version, kind, name, selector, app)
		set, err := manifests.Load(context.Background(), fstest.MapFS{"web.yaml": {Data: []byte(text)}}, ".", manifests.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	check := func(what string, before, after *manifests.Set, pods bool, want string) {
		t.Helper()
		got := ""
		if err := manifests.CheckSelectors(before, after, func(manifests.Ref) bool { return pods }); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	for _, kind := range []string{"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"} {
		one, two := load(kind, "web", "one"), load(kind, "web", "two")
		check(kind, one, two, true, "web.yaml:5: spec.selector: cannot change from app=one to app=two while the "+kind+
			" has pods: give it another name, or delete it in one commit and add it in the next")
		check(kind+" without pods", one, two, false, "")
		check(kind+" unchanged", one, load(kind, "web", "one"), true, "")
		check(kind+" of another name", one, load(kind, "other", "two"), true, "")
		check("the first "+kind, nil, one, true, "")
	}
	check("ReplicationController", load("ReplicationController", "web", "one"), load("ReplicationController", "web", "two"), true, "")
}
