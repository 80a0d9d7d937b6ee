package manifests

import (
	"errors"
	"testing"
)

// FuzzValidate: whatever a repository holds, assemble neither panics nor returns an error without a message, and its
// errors are Errors.
func FuzzValidate(f *testing.F) {
	for _, seed := range []string{app, deploymentHead, serviceHead, podHead,
		"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b}\n",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: null}\nspec: {containers: [null], volumes: [null]}\n",
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: p}\nspec: {strategy: {rollingUpdate: {maxSurge: 99999999999999999999%}}}\n",
		controller(""), replicaSet(webSelector), daemonSet("  updateStrategy: {rollingUpdate: null}\n"),
		statefulSet("  volumeClaimTemplates: [null]\n  updateStrategy: {type: x}\n  persistentVolumeClaimRetentionPolicy: null\n  replicas: null\n"),
		cronJob("'TZ='", "  timeZone: /\n  suspend: null\n"), cronJob("'@every -1s'", ""), cronJob("'*/0 1-/2 , ? *'", ""),
		"apiVersion: v1\nkind: ReplicationController\nmetadata: {name: p}\nspec: {template: null, selector: {a: null}}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		documents, err := parseYAML("a.yaml", text)
		if err != nil {
			return
		}
		_, err = assemble(documents, Options{})
		var errs Errors
		if err != nil && (!errors.As(err, &errs) || err.Error() == "") {
			t.Fatalf("error %T %v", err, err)
		}
	})
}
