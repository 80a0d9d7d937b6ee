package manifests

import "slices"

// podFields are those of a PodSpec, wherever one occurs.
var podFields = slices.Concat(
	under("containers[]", containerFields),
	under("initContainers[]", containerFields),
	refuse("no manifest can have any, here or in a cluster: use podyard debug", "ephemeralContainers"),
	under("volumes[]", volumeFields),
	under("securityContext", podSecurityFields),
	honour("restartPolicy", "terminationGracePeriodSeconds", "activeDeadlineSeconds", "imagePullSecrets[].name"),
	honour("shareProcessNamespace", "hostNetwork", "hostPID", "hostIPC"),
	unless(refuse("not supported: containers share the user namespace that the engine gives to all", "hostUsers"), true),
	honour("hostname", "subdomain", "setHostnameAsFQDN", "hostnameOverride", "hostAliases[].{ip,hostnames}"),
	honour("dnsPolicy", "dnsConfig.{nameservers,searches}", "dnsConfig.options[].{name,value}"),
	honourWith("its imagePullSecrets are used where the pod names none; there is no API server to authenticate to", "serviceAccountName", "serviceAccount"),
	ignore("there is no API server: no token is mounted", "automountServiceAccountToken"),
	honourWith("there are no variables of a Service kubernetes: there is no API server", "enableServiceLinks"),
	ignore("there is no controller that would set these conditions: they are shown as Unknown, and the pod does not wait for them", "readinessGates"),
	honourWith("if the engine has a runtime of the name that is its handler; else containers run under the engine's default runtime", "runtimeClassName"),
	refuse("not supported: the engine has no limits for a whole pod; give each container its own resources", "resources"),
	refuse("not supported: there is no driver that would allocate devices; use a resource such as nvidia.com/gpu in limits", "resourceClaims"),
	unless(refuse("only Linux containers run", "os.name"), "linux"),
	placementFields,
)

const noScheduler = "there is one host and no scheduler"

// placementFields say on which node a pod may run. There is one, so what remains is whether it may run at all.
var placementFields = slices.Concat(
	honourWith("the host's labels are kubernetes.io/hostname, os and arch, and those of --node-label; a pod that they do not satisfy stays Pending",
		"nodeSelector.*",
		"affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions[].{key,operator,values}",
		"affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchFields[].{key,operator,values}"),
	honourWith("a pod that names another host than this stays Pending", "nodeName"),
	honourWith("the pod stays Pending until a commit removes its gates", "schedulingGates[].name"),
	ignoreSilently("there is one host: nothing to prefer", "affinity.{nodeAffinity,podAffinity,podAntiAffinity}.preferredDuringSchedulingIgnoredDuringExecution"),
	ignoreSilently("there is one host: pods are always together", "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution"),
	ignoreSilently("there is one host: pods are as spread as they can be", "topologySpreadConstraints"),
	ignoreSilently("the host has no taints", "tolerations"),
	ignore("there is one host: pods that are to keep apart share it", "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution"),
	unless(ignoreSilently(noScheduler, "schedulerName"), "default-scheduler"),
	honourWith("pods with a higher priority are created first; none is removed to make room for another", "priority", "priorityClassName"),
	ignoreSilently("no pod is removed to make room for another", "preemptionPolicy"),
	ignoreSilently(noScheduler, "overhead"),
	ignoreSilently("there is no node that would be drained", "evictionResponders"),
	refuse("there is no scheduler that would place a group", "schedulingGroup"),
)

var containerFields = slices.Concat(
	honour("name", "image", "imagePullPolicy", "command", "args", "workingDir", "stdin", "stdinOnce", "tty"),
	honour("terminationMessagePath", "terminationMessagePolicy"),
	honour("ports[].{name,containerPort,protocol,hostPort,hostIP}"),
	envFields,
	under("resources", resourceFields),
	ignoreSilently("nothing is resized in place: a commit that changes resources makes a new pod", "resizePolicy"),

	honour("volumeMounts[].{name,mountPath,readOnly,subPath,subPathExpr,mountPropagation}"),
	honourWith("Enabled needs an engine that can: Docker 25 or later, Linux 5.12 or later", "volumeMounts[].recursiveReadOnly"),
	refuse("not supported: the engine takes no such options for a mount", "volumeMounts[].bindMountOptions"),
	refuse("not supported: there are no volumes that are block devices", "volumeDevices"),

	under("livenessProbe", slices.Concat(probeFields, honour("terminationGracePeriodSeconds"))),
	under("readinessProbe", slices.Concat(
		refuse("must not be set: a readinessProbe ends nothing", "terminationGracePeriodSeconds"),
		probeFields,
	)),
	under("startupProbe", slices.Concat(probeFields, honour("terminationGracePeriodSeconds"))),
	under("lifecycle", slices.Concat(
		under("postStart", lifecycleFields),
		under("preStop", lifecycleFields),
		honour("stopSignal"),
	)),
	under("securityContext", securityFields),

	honour("restartPolicy", "restartPolicyRules[].exitCodes.{operator,values}"),
	only(refuse("not supported: a container restarts alone; only Restart", "restartPolicyRules[].action"), "RestartAllContainers"),
	honour("restartPolicyRules[].action"),
)

var envFields = slices.Concat(
	honour("env[].{name,value}"),
	honour("env[].valueFrom.fieldRef.{apiVersion,fieldPath}"),
	honour("env[].valueFrom.resourceFieldRef.{containerName,resource,divisor}"),
	honour("env[].valueFrom.configMapKeyRef.{name,key,optional}", "env[].valueFrom.secretKeyRef.{name,key,optional}"),
	whenPresent(refuse("not supported: no environment is read from a volume; let the container's command read the file", "env[].valueFrom.fileKeyRef")),
	honour("envFrom[].prefix", "envFrom[].configMapRef.{name,optional}", "envFrom[].secretRef.{name,optional}"),
)

// resourceFields are the resources of a container.
var resourceFields = slices.Concat(
	honour("limits.{cpu,memory}", "requests.{cpu,memory}"),
	ignore("the engine does not limit what containers write", "limits.ephemeral-storage", "requests.ephemeral-storage"),
	refuse("not supported: the engine hands out no huge pages", "{limits,requests}.hugepages-2Mi", "{limits,requests}.hugepages-1Gi"),
	honourWith("nvidia.com/gpu and devices that the engine knows by a CDI name; a pod for which there is none stays Pending", "limits.*", "requests.*"),
	refuse("not supported: there is no driver that would allocate devices", "claims"),
)

var probeFields = slices.Concat(
	handlerFields,
	honour("grpc.{port,service}"),
	unless(refuse("not supported yet: only Plaintext", "grpc.mode"), "Plaintext"),
	honour("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"),
)

var lifecycleFields = slices.Concat(handlerFields, honour("sleep.seconds"))

// handlerFields are what probes and lifecycle hooks have in common.
var handlerFields = slices.Concat(
	honour("exec.command", "tcpSocket.{port,host}"),
	honour("httpGet.{path,port,host,scheme}", "httpGet.httpHeaders[].{name,value}"),
	unless(refuse("not supported yet: only HTTP1", "httpGet.protocol"), "HTTP1"),
)

var securityFields = slices.Concat(
	honour("runAsUser", "runAsGroup", "runAsNonRoot", "privileged", "readOnlyRootFilesystem", "allowPrivilegeEscalation"),
	honour("capabilities.{add,drop}", "procMount"),
	profileFields,
)

var podSecurityFields = slices.Concat(
	honour("runAsUser", "runAsGroup", "runAsNonRoot", "supplementalGroups", "sysctls[].{name,value}"),
	honour("fsGroup", "fsGroupChangePolicy"),
	unless(refuse("not supported: the engine adds the groups that the image names; only Merge", "supplementalGroupsPolicy"), "Merge"),
	ignoreSilently("volumes are not labelled for SELinux", "seLinuxChangePolicy"),
	profileFields,
)

// profileFields are what the securityContext of a pod and that of a container have in common besides identities.
var profileFields = slices.Concat(
	honourWith("RuntimeDefault is Docker's default profile, which applies as well where nothing is written", "seccompProfile.type"),
	honourWith("a file below --seccomp-profile-root", "seccompProfile.localhostProfile"),
	honourWith("where the host has AppArmor; where it has not, a pod with a profile of type Localhost stays Pending", "appArmorProfile.{type,localhostProfile}"),
	honourWith("where the engine has SELinux enabled", "seLinuxOptions.{user,role,type,level}"),
	refuse("only Linux containers run", "windowsOptions"),
)
