package manifests

import (
	"strings"
	"testing"
)

const (
	claimHead = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
`
	volumeHead = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec:
`
)

func TestVolumes(t *testing.T) {
	runCases(t, []validateCase{
		{name: "mounts", yaml: app + `    volumeMounts:
    - {name: v, mountPath: /a, subPath: a, subPathExpr: $(A)}
    - {name: v, mountPath: /b, subPathExpr: ../$(A)}
    - {name: v, mountPath: /c, mountPropagation: Bidirectional}
    - {name: v, mountPath: /d, mountPropagation: Both}
    - {name: v, mountPath: /e, recursiveReadOnly: Enabled, mountPropagation: HostToContainer}
    - {name: v, mountPath: /f, readOnly: true, recursiveReadOnly: "Yes"}
  volumes: [{name: v}]
`, errors: []string{
			"a.yaml:9: spec.containers[0].volumeMounts[0].subPathExpr: must not be set together with subPath",
			"a.yaml:10: spec.containers[0].volumeMounts[1].subPathExpr: must not contain '..'",
			"a.yaml:11: spec.containers[0].volumeMounts[2].mountPropagation: must not be Bidirectional unless the container is privileged",
			"a.yaml:12: spec.containers[0].volumeMounts[3].mountPropagation: must be one of None, HostToContainer or Bidirectional",
			"a.yaml:13: spec.containers[0].volumeMounts[4].recursiveReadOnly: must be Disabled unless mountPropagation is None",
			"a.yaml:13: spec.containers[0].volumeMounts[4].recursiveReadOnly: must be Disabled unless readOnly is true",
			"a.yaml:14: spec.containers[0].volumeMounts[5].recursiveReadOnly: must be one of Disabled, IfPossible or Enabled",
		}},
		{name: "files of the pod itself", yaml: app + `  volumes:
  - name: down
    downwardAPI:
      defaultMode: 512
      items:
      - {path: a, fieldRef: {fieldPath: status.podIP}}
      - {path: a, resourceFieldRef: {resource: limits.cpu}}
      - {path: ../b, resourceFieldRef: {resource: limits.cpu, containerName: other}}
      - {path: c}
      - {fieldRef: {fieldPath: metadata.name}, mode: -1}
  - name: all
    projected:
      sources:
      - configMap: {name: c, optional: true, items: [{key: a, path: same}]}
      - downwardAPI: {items: [{path: same, fieldRef: {fieldPath: metadata.name}}]}
      - {}
      - {secret: {name: gone}, configMap: {name: A}}
`, errors: []string{
			"a.yaml:11: spec.volumes[0].downwardAPI.defaultMode: must be between 0 and 0777 (octal)",
			"a.yaml:13: spec.volumes[0].downwardAPI.items[0].fieldRef.fieldPath: must be one of metadata.name, metadata.namespace, metadata.uid, metadata.labels, metadata.annotations, metadata.labels['KEY'] or metadata.annotations['KEY']",
			"a.yaml:14: spec.volumes[0].downwardAPI.items[1].path: path a is there twice",
			"a.yaml:14: spec.volumes[0].downwardAPI.items[1].resourceFieldRef.containerName: is missing",
			"a.yaml:15: spec.volumes[0].downwardAPI.items[2].path: must not contain '..'",
			"a.yaml:15: spec.volumes[0].downwardAPI.items[2].resourceFieldRef.containerName: there is no container other in this pod",
			"a.yaml:16: spec.volumes[0].downwardAPI.items[3]: must have exactly one of fieldRef and resourceFieldRef",
			"a.yaml:17: spec.volumes[0].downwardAPI.items[4].mode: must be between 0 and 0777 (octal)",
			"a.yaml:17: spec.volumes[0].downwardAPI.items[4].path: is missing",
			"a.yaml:22: spec.volumes[1].projected.sources[1].downwardAPI.items[0].path: path same is there twice",
			"a.yaml:23: spec.volumes[1].projected.sources[2]: must have exactly one of configMap, secret and downwardAPI",
			"a.yaml:24: spec.volumes[1].projected.sources[3]: must have exactly one of configMap, secret and downwardAPI",
			"a.yaml:24: spec.volumes[1].projected.sources[3].configMap.name: ConfigMap default/A is not in the commit: add it, or mark the reference optional",
			"a.yaml:24: spec.volumes[1].projected.sources[3].configMap.name: " + dnsSubdomain,
			"a.yaml:24: spec.volumes[1].projected.sources[3].secret.name: Secret default/gone is not in the commit: add it, or mark the reference optional",
		}},
		{name: "places elsewhere", yaml: app + `  volumes:
  - {name: a, hostPath: {path: srv, type: Folder}}
  - {name: b, nfs: {server: "a,b", path: export}}
  - {name: c, nfs: {}}
  - {name: d, persistentVolumeClaim: {}}
  - {name: e, persistentVolumeClaim: {claimName: gone}}
  - {name: f, ephemeral: {}}
  - {name: g, ephemeral: {volumeClaimTemplate: {spec: {volumeMode: Block, selector: {matchLabels: {a: b}}}}}}
`, errors: []string{
			"a.yaml:9: spec.volumes[0].hostPath.path: must be an absolute path",
			"a.yaml:9: spec.volumes[0].hostPath.type: must be one of DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice or BlockDevice",
			"a.yaml:10: spec.volumes[1].nfs.path: must be an absolute path",
			"a.yaml:10: spec.volumes[1].nfs.server: must be the name or address of a host",
			"a.yaml:11: spec.volumes[2].nfs.path: is missing",
			"a.yaml:11: spec.volumes[2].nfs.server: is missing",
			"a.yaml:12: spec.volumes[3].persistentVolumeClaim.claimName: is missing",
			"a.yaml:13: spec.volumes[4].persistentVolumeClaim.claimName: PersistentVolumeClaim default/gone is not in the commit: add it",
			"a.yaml:14: spec.volumes[5].ephemeral.volumeClaimTemplate: is missing",
			"a.yaml:15: spec.volumes[6].ephemeral.volumeClaimTemplate.spec.accessModes: at least one access mode is required",
			"a.yaml:15: spec.volumes[6].ephemeral.volumeClaimTemplate.spec.resources.requests.storage: is missing",
			"a.yaml:15: spec.volumes[6].ephemeral.volumeClaimTemplate.spec.selector: not supported: an ephemeral volume is a new one of the engine",
			"a.yaml:15: spec.volumes[6].ephemeral.volumeClaimTemplate.spec.volumeMode: not supported: there are no volumes that are block devices; only Filesystem",
		}},
	})
}

func TestClaims(t *testing.T) {
	runCases(t, []validateCase{
		{name: "what a claim asks for", yaml: claimHead + `  accessModes: [ReadWriteOncePod, ReadWrite, ""]
  storageClassName: Fast
  volumeMode: Block
  volumeAttributesClassName: x
  dataSource: {kind: VolumeSnapshot, name: s}
  selector: {matchExpressions: [{key: a, operator: Near}]}
  resources: {requests: {storage: 0}, limits: {storage: 1Gi}}
`, errors: []string{
			"a.yaml:5: spec.accessModes: must not have other access modes beside ReadWriteOncePod",
			"a.yaml:5: spec.accessModes[1]: must be one of ReadWriteOnce, ReadOnlyMany, ReadWriteMany or ReadWriteOncePod",
			"a.yaml:5: spec.accessModes[2]: is missing",
			"a.yaml:6: spec.storageClassName: " + dnsSubdomain,
			"a.yaml:7: spec.volumeMode: not supported: there are no volumes that are block devices; only Filesystem",
			"a.yaml:9: spec.dataSource: not supported: volumes begin empty; fill them in an init container",
			"a.yaml:10: spec.selector.matchExpressions[0].operator: not a valid selector operator",
			"a.yaml:11: spec.resources.requests.storage: must be greater than 0",
		}},
		{name: "a size that is none", yaml: claimHead + "  resources: {requests: {storage: big}}\n",
			errors: []string{"a.yaml:4: spec.accessModes: at least one access mode is required", "a.yaml:5: spec.resources.requests.storage: must be a quantity, as 100m, 0.5 or 64Mi"}},
		{name: "a claim that is empty", yaml: claimHead + "  {}\n", errors: []string{
			"a.yaml:4: spec.accessModes: at least one access mode is required",
			"a.yaml:4: spec.resources.requests.storage: is missing",
		}},
		{name: "a volume that is not in the commit", yaml: claimHead + "  accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 1Gi}}\n  volumeName: gone\n",
			errors: []string{"a.yaml:7: spec.volumeName: PersistentVolume gone is not in the commit: add it, or leave the name out to get a new volume"}},
		{name: "a claim that adopts a volume of the engine needs none", yaml: strings.Replace(claimHead, "name: data", "name: data, annotations: {podyard.dev/volume: my_old.volume}", 1) +
			"  accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 1Gi}}\n  volumeName: gone\n"},
		{name: "a volume of the engine that cannot be", yaml: strings.Replace(claimHead, "name: data", "name: data, annotations: {podyard.dev/volume: /srv}", 1) +
			"  accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 1Gi}}\n",
			errors: []string{"a.yaml:3: metadata.annotations[podyard.dev/volume]: must be the name of a volume of the engine: two or more letters, digits, '_', '.' or '-', beginning with a letter or digit"}},
	})
}

func TestPersistentVolumes(t *testing.T) {
	runCases(t, []validateCase{
		{name: "a directory of the host", yaml: volumeHead + `  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  persistentVolumeReclaimPolicy: Delete
  local: {path: /srv}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: Exists}]}]}}
`, warnings: []string{"a.yaml:7: PersistentVolume disk: spec.persistentVolumeReclaimPolicy: what a volume holds is never removed: Retain"}},
		{name: "of several kinds at once", yaml: volumeHead + `  capacity: {cpu: 1}
  persistentVolumeReclaimPolicy: Burn
  claimRef: {name: A}
  mountOptions: ["a,b"]
  storageClassName: Fast
  hostPath: {path: /srv/../etc}
  nfs: {server: a, path: /b}
  local: {path: c, fsType: ext4}
  csi: {driver: d, volumeHandle: h}
`, errors: []string{
			"a.yaml:4: spec: must have exactly one source: hostPath, local or nfs",
			"a.yaml:4: spec.accessModes: at least one access mode is required",
			"a.yaml:4: spec.nodeAffinity.required: is missing: a local volume belongs to a host",
			"a.yaml:5: spec.capacity.cpu: must be storage",
			"a.yaml:5: spec.capacity.storage: is missing",
			"a.yaml:6: spec.persistentVolumeReclaimPolicy: must be one of Retain, Delete or Recycle",
			"a.yaml:7: spec.claimRef.name: " + dnsSubdomain,
			"a.yaml:7: spec.claimRef.namespace: is missing",
			"a.yaml:8: spec.mountOptions[0]: must be one option, as nfsvers=4.2",
			"a.yaml:9: spec.storageClassName: " + dnsSubdomain,
			"a.yaml:10: spec.hostPath.path: must not contain '..'",
			"a.yaml:12: spec.local.fsType: not supported: there are no volumes that are block devices; give a directory",
			"a.yaml:12: spec.local.path: must be an absolute path",
			"a.yaml:13: spec.csi: not supported: there is no driver for this kind of volume; only hostPath, local and nfs",
		}},
		{name: "all of the host cannot be recycled", yaml: volumeHead + `  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  persistentVolumeReclaimPolicy: Recycle
  hostPath: {path: /}
`, errors: []string{"a.yaml:7: spec.persistentVolumeReclaimPolicy: must not be Recycle for a hostPath of '/'"}},
		{name: "a namespace", yaml: strings.Replace(volumeHead, "name: disk", "name: disk, namespace: a", 1) + "  accessModes: [ReadWriteOnce]\n  capacity: {storage: 1Gi}\n  hostPath: {path: /a}\n",
			errors: []string{"a.yaml:3: metadata.namespace: must not be set: a PersistentVolume belongs to none"}},
	})
}

func TestClassesAndAccounts(t *testing.T) {
	runCases(t, []validateCase{
		{name: "classes", yaml: `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: s}
reclaimPolicy: Recycle
volumeBindingMode: Later
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: r}
handler: a.b
`, errors: []string{
			"a.yaml:1: provisioner: is missing",
			"a.yaml:4: reclaimPolicy: must be one of Delete or Retain",
			"a.yaml:5: volumeBindingMode: must be one of Immediate or WaitForFirstConsumer",
			"a.yaml:10: handler: must not contain dots",
		}},
		{name: "what a pod can do without", yaml: app + `  serviceAccountName: robot
  runtimeClassName: gvisor
  imagePullSecrets: [{name: gone}, {name: opaque}]
---
apiVersion: v1
kind: Secret
metadata: {name: opaque}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: other}
imagePullSecrets: [{name: gone}]
`, warnings: []string{
			"a.yaml:10: Pod default/p: spec.imagePullSecrets[0].name: Secret default/gone is not in the commit: images are pulled without it",
			"a.yaml:10: Pod default/p: spec.imagePullSecrets[1].name: Secret default/opaque is not of type kubernetes.io/dockerconfigjson: images are pulled without it",
			"a.yaml:8: Pod default/p: spec.serviceAccountName: ServiceAccount default/robot is not in the commit: the pod runs without it",
			"a.yaml:9: Pod default/p: spec.runtimeClassName: RuntimeClass gvisor is not in the commit: containers run under the engine's runtime gvisor if it has one, else under its default, without the isolation that the class stands for",
			"a.yaml:19: ServiceAccount default/other: imagePullSecrets[0].name: Secret default/gone is not in the commit: images are pulled without it",
		}},
		{name: "the service account that every namespace has", yaml: app + "  serviceAccountName: default\n"},
	})
}

func TestLogins(t *testing.T) {
	secret := func(kind, key, value string) string {
		return "\napiVersion: v1\nkind: Secret\nmetadata: {name: login}\ntype: kubernetes.io/" + kind + "\nstringData:\n  " + key + ": '" + value + "'\n"
	}
	const form = "must be the JSON that docker login writes, with auths"
	runCases(t, []validateCase{
		{name: "a login", yaml: secret("dockerconfigjson", ".dockerconfigjson", `{"auths":{"r":{"username":"u","password":"hunter2"}},"credsStore":"x"}`)},
		{name: "a login of the older form", yaml: secret("dockercfg", ".dockercfg", `{"r":{"auth":"dXNlcjpodW50ZXIy"}}`)},
		{name: "not JSON", yaml: secret("dockerconfigjson", ".dockerconfigjson", "hunter2"), errors: []string{"a.yaml:6: stringData[.dockerconfigjson]: " + form}},
		{name: "another JSON", yaml: secret("dockerconfigjson", ".dockerconfigjson", `{"hunter2": 1}`), errors: []string{"a.yaml:6: stringData[.dockerconfigjson]: " + form}},
		{name: "JSON of another type", yaml: secret("dockerconfigjson", ".dockerconfigjson", `{"auths": {"r": "hunter2"}}`), errors: []string{"a.yaml:6: stringData[.dockerconfigjson]: " + form}},
		{name: "the older form that is a list", yaml: secret("dockercfg", ".dockercfg", `["hunter2"]`), errors: []string{"a.yaml:6: stringData[.dockercfg]: " + form}},
		{name: "a password that is not encoded", yaml: secret("dockerconfigjson", ".dockerconfigjson", `{"auths":{"r":{"auth":"user:hunter2"}}}`),
			errors: []string{"a.yaml:6: stringData[.dockerconfigjson]: must have the base64 of user:password as auth"}},
		{name: "a password that is elsewhere", yaml: secret("dockerconfigjson", ".dockerconfigjson", `{"auths":{"r":{}},"credsStore":"desktop"}`),
			warnings: []string{"a.yaml:6: Secret default/login: stringData[.dockerconfigjson]: holds no password for one of its registries: docker login has put it into a credential store"}},
		{name: "no login at all", yaml: secret("dockerconfigjson", "other", "x"), errors: []string{"a.yaml:4: type: Secrets of type kubernetes.io/dockerconfigjson must have the key .dockerconfigjson"}},
	})
}
