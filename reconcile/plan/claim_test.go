package plan_test

import (
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

const volumesAndClaims = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv-dir}
spec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, storageClassName: dir, hostPath: {path: /srv/dir, type: DirectoryOrCreate}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv-local}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  storageClassName: local
  local: {path: /srv/local}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [elsewhere]}]}]}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv-nfs}
spec:
  accessModes: [ReadWriteMany]
  capacity: {storage: 1Gi}
  storageClassName: nfs
  mountOptions: [nfsvers=4.1, hard]
  nfs: {server: files.example.com, path: /export, readOnly: true}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: dir}
spec: {accessModes: [ReadWriteOnce], storageClassName: dir, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: local}
spec: {accessModes: [ReadWriteOnce], storageClassName: local, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: nfs}
spec: {accessModes: [ReadWriteMany], storageClassName: nfs, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: own}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: adopted, annotations: {podyard.dev/volume: photos}}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: none}
spec: {accessModes: [ReadWriteOnce], storageClassName: "", resources: {requests: {storage: 1Gi}}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: prepared}
provisioner: kubernetes.io/no-provisioner
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: unprepared}
spec: {accessModes: [ReadWriteOnce], storageClassName: prepared, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: lost}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`

func TestClaimVolumeSaysWhereTheBytesAre(t *testing.T) {
	w := newWorld(t)
	set := load(t, "a.yaml", []byte(volumesAndClaims), epoch)
	w.addVolume("photos", nil)
	w.addVolume("made-long-ago", map[string]string{"podyard.dev/claim": "default/lost", "podyard.dev/persistent-volume": "gone"})
	own := func(claim, volume string) runtime.Volume {
		v := runtime.Volume{Kind: runtime.Persistent, Claim: "podyard_story_claim_default_" + claim, Labels: map[string]string{"podyard.dev/claim": "default/" + claim}}
		if volume != "" {
			v.Labels["podyard.dev/persistent-volume"] = volume
		}
		return v
	}
	dir, local, nfs := own("dir", "pv-dir"), own("local", "pv-local"), own("nfs", "pv-nfs")
	dir.HostPath, dir.HostPathType, dir.Options = "/srv/dir", corev1.HostPathDirectoryOrCreate, map[string]string{"type": "none", "o": "bind", "device": "/srv/dir"}
	local.Options = map[string]string{"type": "none", "o": "bind", "device": "/srv/local"}
	nfs.Options = map[string]string{"type": "nfs", "o": "addr=files.example.com,nfsvers=4.1,hard,ro", "device": ":/export"}
	for claim, want := range map[string]runtime.Volume{
		"dir": dir, "local": local, "nfs": nfs, "own": own("own", ""),
		"adopted": {Kind: runtime.Persistent, Claim: "photos", Adopted: true},
	} {
		got, err := plan.ClaimVolume(set, w.observed(), "default", claim)
		if err != nil || got.Claim != want.Claim || got.Kind != want.Kind || got.Adopted != want.Adopted || got.HostPath != want.HostPath ||
			got.HostPathType != want.HostPathType || !maps.Equal(got.Labels, want.Labels) || !maps.Equal(got.Options, want.Options) {
			t.Errorf("claim %s: %+v, %v\nwant %+v", claim, got, err, want)
		}
	}
	for claim, want := range map[string]string{
		"none":       `persistentvolumeclaim "none" is not bound: no PersistentVolume of the commit that is free has storageClassName "", 1Gi and the access modes RWO`,
		"unprepared": `persistentvolumeclaim "unprepared" is not bound`,
		"lost":       `persistentvolumeclaim "lost" bound to non-existent persistentvolume "gone"`,
		"missing":    `persistentvolumeclaim "missing" not found`,
	} {
		if _, err := plan.ClaimVolume(set, w.observed(), "default", claim); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("claim %s: %v; want %s", claim, err, want)
		}
	}
}

func TestClaimVolumeKeepsAnExistingVolumesName(t *testing.T) {
	w := newWorld(t)
	set := load(t, "a.yaml", []byte(volumesAndClaims), epoch)
	w.addVolume("made-long-ago", map[string]string{"podyard.dev/claim": "default/own"})
	if got, err := plan.ClaimVolume(set, w.observed(), "default", "own"); err != nil || got.Claim != "made-long-ago" {
		t.Errorf("volume %q, %v; want made-long-ago", got.Claim, err)
	}
}

func TestFilesHashTellsOfContentAndHidesIt(t *testing.T) {
	pod := &corev1.Pod{}
	pod.Namespace, pod.UID = "default", types.UID("1")
	hash := func(yaml string, v corev1.VolumeSource) string {
		return plan.FilesHash(load(t, "a.yaml", []byte(yaml), epoch), pod, &corev1.Volume{Name: "v", VolumeSource: v})
	}
	config := corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "web"}}}
	secret := corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "web"}}
	const a = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: '1', b: '2'}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: web}\nstringData: {a: hunter2}\n"
	before := hash(a, config)
	if before != hash(strings.ReplaceAll(a, "a: '1', b: '2'", "b: '2', a: '1'"), config) {
		t.Error("the order of keys changes the hash")
	}
	if before == hash(strings.ReplaceAll(a, "a: '1', b: '2'", "a: '1', b: '3'"), config) || before == hash(strings.ReplaceAll(a, "a: '1', b: '2'", "a: '1b2'"), config) {
		t.Error("other content has the same hash")
	}
	one := hash(a, secret)
	pod.UID = "2"
	if one == hash(a, secret) || strings.Contains(one, "hunter2") {
		t.Errorf("two pods show that they have the same Secret: %s", one)
	}
	if got := hash(a, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}); got != "" {
		t.Errorf("an emptyDir has the hash %q", got)
	}
}
