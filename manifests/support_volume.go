package manifests

import "slices"

const noDriver = "not supported: there is no driver for this kind of volume"

// volumeFields are those of a pod's volume.
var volumeFields = slices.Concat(
	honour("name", "emptyDir.{medium,sizeLimit}", "hostPath.{path,type}", "nfs.{server,path,readOnly}"),
	refuse("not supported: the directory has mode 0777", "emptyDir.mode"),
	honour("persistentVolumeClaim.{claimName,readOnly}"),
	under("configMap", slices.Concat(honour("name", "optional", "defaultMode"), keyFields)),
	under("secret", slices.Concat(honour("secretName", "optional", "defaultMode"), keyFields)),
	under("downwardAPI", slices.Concat(honour("defaultMode"), downwardFields)),
	under("projected", slices.Concat(
		honour("defaultMode"),
		under("sources[].configMap", slices.Concat(honour("name", "optional"), keyFields)),
		under("sources[].secret", slices.Concat(honour("name", "optional"), keyFields)),
		under("sources[].downwardAPI", downwardFields),
		whenPresent(refuse("not supported: there is no API server that would issue a token", "sources[].serviceAccountToken")),
		whenPresent(refuse("not supported: there is no API server that would hold or sign certificates", "sources[].{clusterTrustBundle,podCertificate}")),
	)),
	refuse("not supported: files belong to root; use fsGroup or a mode", "{configMap,secret,downwardAPI,projected}.defaultUser"),
	under("ephemeral.volumeClaimTemplate", slices.Concat(
		ignoreSilently("no claim is made: the volume is the pod's own, and gone with it", "metadata"),
		under("spec", ephemeralFields),
	)),
	whenPresent(refuse("not supported: no volume is made of an image; copy its files in an init container", "image")),
	whenPresent(refuse("not supported, here or in a cluster: clone the repository in an init container", "gitRepo")),
	whenPresent(refuse(noDriver, otherVolumes...)),
	whenPresent(refuse(noDriver, "storageos")),
)

// keyFields are the keys of a ConfigMap or Secret that a volume shows.
var keyFields = slices.Concat(
	honour("items[].{key,path,mode}"),
	refuse("not supported: files belong to root; use fsGroup or a mode", "items[].user"),
)

var downwardFields = slices.Concat(
	honour("items[].{path,mode}", "items[].fieldRef.{apiVersion,fieldPath}"),
	honour("items[].resourceFieldRef.{containerName,resource,divisor}"),
	refuse("not supported: files belong to root; use fsGroup or a mode", "items[].user"),
)

// otherVolumes are the sources for which pods, as well as PersistentVolumes, would need a driver.
var otherVolumes = []string{"awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume",
	"flocker", "gcePersistentDisk", "glusterfs", "iscsi", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd",
	"scaleIO", "vsphereVolume"}

// claimFields are those of a PersistentVolumeClaim's spec.
var claimFields = slices.Concat(
	honour("accessModes", "volumeName"),
	honourWith("a claim without one has the class of the commit that is annotated as the default, if there is one", "storageClassName"),
	honour("selector.matchLabels.*", "selector.matchExpressions[].{key,operator,values}"),
	honourWith("a PersistentVolume must be as large; the size of the engine's own volumes is not limited", "resources.requests.*"),
	ignoreSilently("the size of the engine's volumes is not limited", "resources.limits"),
	blockFields,
	refuse("not supported: volumes begin empty; fill them in an init container", "dataSource", "dataSourceRef"),
	ignore("the engine's volumes have no such attributes", "volumeAttributesClassName"),
)

var blockFields = unless(refuse("not supported: there are no volumes that are block devices; only Filesystem", "volumeMode"), "Filesystem")

// ephemeralFields are those of the claim in a generic ephemeral volume, which always is a new volume of the engine.
var ephemeralFields = slices.Concat(
	honour("accessModes"),
	honourWith("the size of the engine's volumes is not limited", "resources.requests.*"),
	ignoreSilently("the size of the engine's volumes is not limited", "resources.limits"),
	ignoreSilently("volumes are those of the engine", "storageClassName"),
	blockFields,
	refuse("not supported: an ephemeral volume is a new one of the engine", "selector", "volumeName", "dataSource", "dataSourceRef"),
	ignore("the engine's volumes have no such attributes", "volumeAttributesClassName"),
)

// persistentFields are those of a PersistentVolume's spec.
var persistentFields = slices.Concat(
	honour("capacity.*", "accessModes", "storageClassName", "claimRef.{namespace,name}"),
	ignoreSilently("only a cluster writes it", "claimRef.{kind,apiVersion,uid,resourceVersion,fieldPath}"),
	honour("hostPath.{path,type}", "local.path", "nfs.{server,path,readOnly}"),
	refuse("not supported: there are no volumes that are block devices; give a directory", "local.fsType"),
	honourWith("for nfs", "mountOptions"),
	unless(ignore("what a volume holds is never removed: Retain", "persistentVolumeReclaimPolicy"), "Retain"),
	blockFields,
	ignoreSilently("there is one host: its paths are meant", "nodeAffinity"),
	ignore("the engine's volumes have no such attributes", "volumeAttributesClassName"),
	whenPresent(refuse(noDriver+"; only hostPath, local and nfs", otherVolumes...)),
	whenPresent(refuse(noDriver+"; only hostPath, local and nfs", "storageos")),
)

// storageClassFields are those of a StorageClass.
var storageClassFields = slices.Concat(
	honourWith("kubernetes.io/no-provisioner: claims wait for a PersistentVolume; any other: they have a volume of the engine if none fits", "provisioner"),
	ignoreSilently("volumes are those of the engine: a class has no more than a name here", "parameters", "mountOptions",
		"allowVolumeExpansion", "allowedTopologies"),
	ignoreSilently("what a volume holds is never removed: Retain", "reclaimPolicy"),
	ignoreSilently("there is one host: it makes no difference", "volumeBindingMode"),
)

var runtimeClassFields = slices.Concat(
	honour("handler"),
	ignoreSilently(noScheduler, "overhead", "scheduling"),
)

var serviceAccountFields = slices.Concat(
	honourWith("used by pods that name none", "imagePullSecrets[].name"),
	ignoreSilently("there is no API server to authenticate to", "secrets", "automountServiceAccountToken"),
)
