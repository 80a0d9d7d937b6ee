package manifests

import "slices"

// podFields are those of a PodSpec, wherever one occurs.
var podFields = slices.Concat(
	under("containers[]", containerFields),
	under("volumes[]", volumeFields),
	under("securityContext", podSecurityFields),
	honour("restartPolicy", "terminationGracePeriodSeconds", "hostname", "subdomain", "hostAliases[].{ip,hostnames}"),
	honour("serviceAccountName"),

	unless(ignore("there is one host and no scheduler", "schedulerName"), "default-scheduler"),
	unless(ignore("there is one host and no scheduler", "priority"), int64(0)),
	ignore("there is one host and no scheduler", "nodeSelector", "nodeName", "affinity", "tolerations",
		"topologySpreadConstraints", "priorityClassName", "preemptionPolicy", "overhead"),
	ignore("there is no node that would be drained", "evictionResponders"),
	ignore("there is no API server to authenticate to; write serviceAccountName", "serviceAccount"),
	ignore("there is no API server: no token is mounted", "automountServiceAccountToken"),
	ignore("Services are found by DNS; no environment variables are made of them", "enableServiceLinks"),
	ignore("there is no controller that would set these conditions: the pod is ready without them", "readinessGates"),
	ignore("containers run under the engine's default runtime", "runtimeClassName"),
	ignore("registry credentials come from the Docker client configuration", "imagePullSecrets"),

	unless(refuse("not supported yet: only ClusterFirst", "dnsPolicy"), "ClusterFirst"),
	unless(refuse("not supported yet: containers share the host's user namespace", "hostUsers"), true),
	refuse(notYet, "initContainers", "ephemeralContainers", "hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace",
		"activeDeadlineSeconds", "setHostnameAsFQDN", "hostnameOverride", "dnsConfig"),
	refuse("not supported yet: give each container its own resources", "resources"),
	refuse("not supported yet: the engine is not asked for devices", "resourceClaims"),
	refuse("there is no scheduler that would open the gate", "schedulingGates"),
	refuse("there is no scheduler that would place a group", "schedulingGroup"),
	unless(refuse("only Linux containers run", "os.name"), "linux"),
)

var containerFields = slices.Concat(
	honour("name", "image", "imagePullPolicy", "command", "args", "workingDir", "stdin", "stdinOnce", "tty"),
	honour("ports[].{name,containerPort,protocol,hostPort,hostIP}"),

	honour("env[].{name,value}"),
	honour("env[].valueFrom.fieldRef.{apiVersion,fieldPath}"),
	honour("env[].valueFrom.resourceFieldRef.{containerName,resource,divisor}"),
	honour("env[].valueFrom.configMapKeyRef.{name,key,optional}", "env[].valueFrom.secretKeyRef.{name,key,optional}"),
	whenPresent(refuse(notYet, "env[].valueFrom.fileKeyRef")),
	honour("envFrom[].prefix", "envFrom[].configMapRef.{name,optional}", "envFrom[].secretRef.{name,optional}"),

	honour("resources.limits.{cpu,memory}", "resources.requests.{cpu,memory}"),
	ignore("the engine does not limit the size of containers", "resources.limits.ephemeral-storage", "resources.requests.ephemeral-storage"),
	refuse("not supported yet: the engine is asked for cpu and memory only", "resources.limits.*", "resources.requests.*", "resources.claims"),

	honour("volumeMounts[].{name,mountPath,readOnly,subPath}"),
	unless(refuse(notYet, "volumeMounts[].mountPropagation"), "None"),
	unless(refuse(notYet, "volumeMounts[].recursiveReadOnly"), "Disabled"),
	refuse(notYet, "volumeMounts[].{subPathExpr,bindMountOptions}", "volumeDevices"),

	under("livenessProbe", probeFields),
	under("readinessProbe", probeFields),
	under("startupProbe", probeFields),
	under("securityContext", securityFields),

	unless(refuse("not supported yet: no message is read from a file", "terminationMessagePath"), "/dev/termination-log"),
	unless(refuse("not supported yet: no message is read from a file", "terminationMessagePolicy"), "File"),
	refuse(notYet, "lifecycle", "restartPolicyRules"),
	refuse("not supported yet: the restart policy is that of the pod", "restartPolicy"),
	refuse("not supported yet: a pod with other resources is another pod", "resizePolicy"),
)

var probeFields = slices.Concat(
	honour("exec.command", "tcpSocket.{port,host}"),
	honour("httpGet.{path,port,host,scheme}", "httpGet.httpHeaders[].{name,value}"),
	unless(refuse("not supported yet: only HTTP1", "httpGet.protocol"), "HTTP1"),
	honour("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"),
	refuse("not supported yet: the grace period is that of the pod", "terminationGracePeriodSeconds"),
	whenPresent(refuse(notYet, "grpc")),
)

var securityFields = slices.Concat(
	honour("runAsUser", "runAsGroup", "runAsNonRoot", "privileged", "readOnlyRootFilesystem", "allowPrivilegeEscalation"),
	honour("capabilities.{add,drop}"),
	unless(refuse(notYet, "procMount"), "Default"),
	profileFields,
)

var podSecurityFields = slices.Concat(
	honour("runAsUser", "runAsGroup", "runAsNonRoot", "supplementalGroups", "sysctls[].{name,value}"),
	unless(refuse("not supported yet: only Merge", "supplementalGroupsPolicy"), "Merge"),
	ignore("volumes keep their group; an emptyDir is writable for everyone all the same", "fsGroup"),
	ignore("volumes keep their group", "fsGroupChangePolicy"),
	ignore("no SELinux labels are set", "seLinuxChangePolicy"),
	profileFields,
)

// profileFields are what the securityContext of a pod and that of a container have in common besides identities.
var profileFields = slices.Concat(
	// RuntimeDefault is what the engine applies by itself.
	unless(refuse("not supported yet: only RuntimeDefault, which is Docker's default profile", "seccompProfile.type"), "RuntimeDefault"),
	refuse("not supported yet: only RuntimeDefault, which is Docker's default profile", "seccompProfile.localhostProfile"),
	unless(ignore("the engine's default profile applies", "appArmorProfile.type"), "RuntimeDefault"),
	ignore("the engine's default profile applies", "appArmorProfile.localhostProfile"),
	ignore("no SELinux labels are set", "seLinuxOptions"),
	refuse("only Linux containers run", "windowsOptions"),
)

var volumeFields = slices.Concat(
	honour("name", "emptyDir.{medium,sizeLimit}"),
	refuse("not supported yet: the directory has mode 0777", "emptyDir.mode"),
	honour("configMap.{name,optional,defaultMode}", "configMap.items[].{key,path,mode}"),
	honour("secret.{secretName,optional,defaultMode}", "secret.items[].{key,path,mode}"),
	refuse("not supported yet: files belong to root", "{configMap,secret}.defaultUser", "{configMap,secret}.items[].user"),
	honour("hostPath.path"),
	ignore("neither checked nor made: Docker binds the path as it is", "hostPath.type"),
	whenPresent(refuse(notYet, "persistentVolumeClaim", "projected", "downwardAPI", "ephemeral", "image", "nfs", "csi",
		"iscsi", "fc", "gitRepo")),
	whenPresent(refuse("not supported: there is no driver for this kind of volume", "awsElasticBlockStore", "azureDisk",
		"azureFile", "cephfs", "cinder", "flexVolume", "flocker", "gcePersistentDisk", "glusterfs", "photonPersistentDisk",
		"portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume")),
)
