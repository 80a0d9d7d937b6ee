package manifests

import (
	"strings"
	"testing"
)

const (
	dnsSubdomain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end " +
		"with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
	nameWithSlash = "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " +
		"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)

// everything is a pod that says all that a pod may say here, and what it refers to.
const everything = `
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  os: {name: linux}
  restartPolicy: OnFailure
  terminationGracePeriodSeconds: 20
  activeDeadlineSeconds: 3600
  serviceAccountName: robot
  runtimeClassName: gvisor
  nodeName: host
  nodeSelector: {kubernetes.io/arch: amd64, example.com/disk: ssd}
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
        - matchExpressions:
          - {key: a, operator: In, values: [x, y]}
          - {key: b, operator: Exists}
          - {key: c, operator: Gt, values: ["3"]}
          matchFields: [{key: metadata.name, operator: In, values: [host]}]
  schedulingGates: [{name: example.com/gate}]
  hostname: web
  subdomain: pods
  setHostnameAsFQDN: true
  shareProcessNamespace: true
  dnsPolicy: None
  dnsConfig:
    nameservers: [10.0.0.1, "fd00::1"]
    searches: [a.local, _tcp.b.local., .]
    options: [{name: ndots, value: "2"}, {name: edns0}]
  imagePullSecrets: [{name: login}]
  securityContext:
    runAsUser: 1
    fsGroup: 5
    fsGroupChangePolicy: OnRootMismatch
    supplementalGroups: [6]
    supplementalGroupsPolicy: Merge
    seccompProfile: {type: Localhost, localhostProfile: profiles/a.json}
    appArmorProfile: {type: Unconfined}
    seLinuxOptions: {level: s0}
    sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "0"}]
  initContainers:
  - name: prepare
    image: busybox
    env: [{name: A, valueFrom: {configMapKeyRef: {name: c, key: a}}}]
  - name: sidecar
    image: busybox
    restartPolicy: Always
    ports: [{containerPort: 81, hostPort: 81, protocol: UDP}]
    startupProbe: {tcpSocket: {port: 81}, terminationGracePeriodSeconds: 1}
    lifecycle: {preStop: {exec: {command: ["true"]}}}
  - name: retried
    image: busybox
    restartPolicy: Never
    restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [3, 4]}}]
  containers:
  - name: app
    image: busybox
    ports: [{name: grpc, containerPort: 80, hostPort: 80}]
    resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}]
    resources: {limits: {cpu: 1, nvidia.com/gpu: 2, example.com/x: 1}}
    env: [{name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}]
    terminationMessagePath: /tmp/last-words
    terminationMessagePolicy: FallbackToLogsOnError
    livenessProbe: {grpc: {port: 80, service: live}, terminationGracePeriodSeconds: 5}
    lifecycle:
      stopSignal: SIGRTMIN+3
      postStart: {httpGet: {port: grpc, path: /start}}
      preStop: {sleep: {seconds: 20}}
    securityContext: {privileged: true, procMount: Unmasked, appArmorProfile: {type: Localhost, localhostProfile: mine}}
    volumeMounts:
    - {name: projected, mountPath: /p, readOnly: true, recursiveReadOnly: IfPossible}
    - {name: data, mountPath: /data, subPathExpr: $(CPU)/x, mountPropagation: Bidirectional}
    - {name: nfs, mountPath: /nfs, mountPropagation: HostToContainer}
  volumes:
  - {name: data, persistentVolumeClaim: {claimName: data, readOnly: true}}
  - {name: nfs, nfs: {server: 10.0.0.2, path: /export, readOnly: true}}
  - {name: host, hostPath: {path: /srv, type: DirectoryOrCreate}}
  - {name: down, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, {path: cpu, mode: 256, resourceFieldRef: {containerName: app, resource: limits.cpu}}]}}
  - name: projected
    projected:
      defaultMode: 288
      sources:
      - configMap: {name: c, items: [{key: a, path: a}]}
      - secret: {name: s, optional: true}
      - downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}
  - name: scratch
    ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {a: x}
---
apiVersion: v1
kind: Secret
metadata: {name: login}
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: '{"auths": {"registry.example.com": {"auth": "dXNlcjpodW50ZXIy"}}}'}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
imagePullSecrets: [{name: login}]
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: gvisor}
handler: runsc
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], volumeName: disk, storageClassName: fast, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec:
  accessModes: [ReadWriteOnce, ReadWriteMany]
  capacity: {storage: 2Gi}
  storageClassName: fast
  claimRef: {name: data, namespace: default}
  mountOptions: [nfsvers=4.2, soft]
  nfs: {server: 10.0.0.2, path: /export}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast}
provisioner: kubernetes.io/no-provisioner
`

func TestAPodThatSaysEverythingPassesWithoutAWord(t *testing.T) {
	runCases(t, []validateCase{{name: "everything", yaml: everything}})
}

func TestObjectsAreInTheOrderInWhichTheyAreApplied(t *testing.T) {
	set, errs := assembleText(t, everything+"---\napiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n"+
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n")
	if errs != nil {
		t.Fatal(errs)
	}
	var kinds []string
	for _, o := range set.Objects {
		kinds = append(kinds, o.Kind)
	}
	if got, want := strings.Join(kinds, " "), "Namespace RuntimeClass StorageClass ServiceAccount ConfigMap Secret PersistentVolume PersistentVolumeClaim Service Pod"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

func TestNamespacesOfTheHostAndNames(t *testing.T) {
	runCases(t, []validateCase{
		{name: "the host's namespaces", yaml: app + `    ports: [{containerPort: 80}, {containerPort: 81, hostPort: 82}]
  hostNetwork: true
  hostIPC: true
  hostPID: true
  shareProcessNamespace: true
  hostnameOverride: web
  securityContext:
    sysctls: [{name: net/ipv4/tcp_syncookies, value: "1"}, {name: kernel.shm_rmid_forced, value: "1"}, {name: kernel.shm_rmid_forced, value: "1"}]
`, errors: []string{
			"a.yaml:8: spec.containers[0].ports[1].hostPort: must match containerPort when hostNetwork is true",
			"a.yaml:12: spec.shareProcessNamespace: must not be true when hostPID is: the pod would have two process namespaces",
			"a.yaml:13: spec.hostnameOverride: must not be set when hostNetwork is true",
			"a.yaml:15: spec.securityContext.sysctls[0].name: must not be set when hostNetwork is true: it would be the host's",
			"a.yaml:15: spec.securityContext.sysctls[1].name: must not be set when hostIPC is true: it would be the host's",
			"a.yaml:15: spec.securityContext.sysctls[2].name: must not be set when hostIPC is true: it would be the host's",
			"a.yaml:15: spec.securityContext.sysctls[2].name: sysctl kernel.shm_rmid_forced is there twice",
		}},
		{name: "names of other objects", yaml: app + `  nodeName: A
  runtimeClassName: B
  serviceAccountName: C
  priorityClassName: D
  hostnameOverride: E
  setHostnameAsFQDN: true
`, errors: []string{
			"a.yaml:8: spec.nodeName: " + dnsSubdomain,
			"a.yaml:9: spec.runtimeClassName: " + dnsSubdomain,
			"a.yaml:10: spec.serviceAccountName: " + dnsSubdomain,
			"a.yaml:11: spec.priorityClassName: " + dnsSubdomain,
			"a.yaml:12: spec.hostnameOverride: " + dnsSubdomain,
			"a.yaml:12: spec.hostnameOverride: must not be set when setHostnameAsFQDN is true",
		}},
		{name: "a fully qualified hostname of a Pod", yaml: app + "  subdomain: " + strings.Repeat("s", 37) + "\n  setHostnameAsFQDN: true\n",
			errors: []string{"a.yaml:9: spec.setHostnameAsFQDN: the name p." + strings.Repeat("s", 37) + ".default.svc.cluster.local is too long: a hostname has at most 64 characters, this has 65"}},
		{name: "a fully qualified hostname that just fits", yaml: app + "  subdomain: " + strings.Repeat("s", 36) + "\n  setHostnameAsFQDN: true\n"},
		{name: "a fully qualified hostname of a Deployment's pods", yaml: strings.Replace(deploymentHead, "spec: {containers", "spec: {subdomain: one-of-so-many-pods, setHostnameAsFQDN: true, containers", 1) + "  selector: {matchLabels: {app: web}}\n",
			errors: []string{"a.yaml:7: spec.template.spec.setHostnameAsFQDN: the name web-6cccd79977-xxxxx.one-of-so-many-pods.default.svc.cluster.local is too long: a hostname has at most 64 characters, this has 66"}},
		{name: "no time to live", yaml: app + "  activeDeadlineSeconds: 0\n", errors: []string{"a.yaml:8: spec.activeDeadlineSeconds: must be between 1 and 2147483647, inclusive"}},
		{name: "a time to live for pods that do not end", yaml: strings.Replace(deploymentHead, "spec: {containers", "spec: {activeDeadlineSeconds: 5, containers", 1) + "  selector: {matchLabels: {app: web}}\n",
			errors: []string{"a.yaml:7: spec.template.spec.activeDeadlineSeconds: must not be set in a Deployment: its pods do not end"}},
	})
}

func TestNameServers(t *testing.T) {
	runCases(t, []validateCase{
		{name: "None without a name server", yaml: app + "  dnsPolicy: None\n  dnsConfig: {searches: [a]}\n",
			errors: []string{"a.yaml:9: spec.dnsConfig.nameservers: at least one is required when dnsPolicy is None"}},
		{name: "too many and malformed", yaml: app + `  dnsPolicy: Cluster
  dnsConfig:
    nameservers: [a, 10.0.0.1, 10.0.0.2, 10.0.0.3]
    searches: [A, ` + strings.Repeat("a,", 32) + ` ` + strings.TrimSuffix(strings.Repeat(strings.Repeat("abc.", 62)+"a,", 8), ",") + `]
    options: [{value: x}]
`, errors: []string{
			"a.yaml:8: spec.dnsPolicy: must be one of ClusterFirst, ClusterFirstWithHostNet, Default or None",
			"a.yaml:10: spec.dnsConfig.nameservers: must not be more than 3",
			"a.yaml:10: spec.dnsConfig.nameservers[0]: must be an IP address",
			"a.yaml:11: spec.dnsConfig.searches: must not be more than 32",
			"a.yaml:11: spec.dnsConfig.searches: must not have more than 2048 characters together",
			"a.yaml:11: spec.dnsConfig.searches[0]: " + underscoredSubdomain,
			"a.yaml:12: spec.dnsConfig.options[0].name: is missing",
		}},
	})
}

const underscoredSubdomain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')"

func TestPlacement(t *testing.T) {
	runCases(t, []validateCase{
		{name: "selectors, terms and gates", yaml: app + `  nodeSelector: {"a/b/c": x, ok: "-"}
  schedulingGates: [{name: a}, {name: a}, {name: "b c"}]
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
        - matchExpressions:
          - {key: a}
          - {key: b, operator: In}
          - {key: c, operator: Exists, values: [x]}
          - {key: d, operator: Gt, values: [x]}
          - {key: e, operator: Lt, values: ["1", "2"]}
          - {key: f, operator: Near, values: [x]}
          matchFields:
          - {key: metadata.labels, operator: Exists, values: [a, b]}
`, errors: []string{
			"a.yaml:8: spec.nodeSelector[a/b/c]: " + nameWithSlash,
			"a.yaml:8: spec.nodeSelector[ok]: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
			"a.yaml:9: spec.schedulingGates[1].name: gate a is there twice",
			"a.yaml:9: spec.schedulingGates[2].name: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
			"a.yaml:15: " + terms + "matchExpressions[0].operator: is missing",
			"a.yaml:16: " + terms + "matchExpressions[1].values: at least one is required when the operator is In",
			"a.yaml:17: " + terms + "matchExpressions[2].values: must not be set when the operator is Exists",
			"a.yaml:18: " + terms + "matchExpressions[3].values[0]: must be a whole number when the operator is Gt",
			"a.yaml:19: " + terms + "matchExpressions[4].values: must be exactly one when the operator is Lt",
			"a.yaml:20: " + terms + "matchExpressions[5].operator: must be one of In, NotIn, Exists, DoesNotExist, Gt or Lt",
			"a.yaml:22: " + terms + "matchFields[0].key: must be metadata.name",
			"a.yaml:22: " + terms + "matchFields[0].operator: must be one of In or NotIn",
			"a.yaml:22: " + terms + "matchFields[0].values: must be exactly one",
		}},
		{name: "no terms", yaml: app + "  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}\n",
			errors: []string{"a.yaml:8: spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: at least one term is required"}},
	})
}

const terms = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]."

func TestInitContainers(t *testing.T) {
	runCases(t, []validateCase{
		{name: "what only a container that goes on running may have", yaml: app + `    ports: [{containerPort: 80, hostPort: 80}]
  initContainers:
  - name: app
    image: busybox
    livenessProbe: {exec: {command: [a]}}
    readinessProbe: {exec: {command: [a]}}
    startupProbe: {exec: {command: [a]}}
    lifecycle: {preStop: {exec: {command: [a]}}}
    ports: [{containerPort: 81, hostPort: 80}, {containerPort: 82, hostPort: 80}]
  - name: side
    restartPolicy: Always
    ports: [{containerPort: 81, hostPort: 80}]
    readinessProbe: {}
  - name: side
    image: busybox
    restartPolicy: Sometimes
`, errors: []string{
			"a.yaml:10: spec.initContainers[0].name: container app is also among containers",
			"a.yaml:12: spec.initContainers[0].livenessProbe: must not be set in an init container without restartPolicy: Always",
			"a.yaml:13: spec.initContainers[0].readinessProbe: must not be set in an init container without restartPolicy: Always",
			"a.yaml:14: spec.initContainers[0].startupProbe: must not be set in an init container without restartPolicy: Always",
			"a.yaml:15: spec.initContainers[0].lifecycle: must not be set in an init container without restartPolicy: Always",
			"a.yaml:16: spec.initContainers[0].ports[1].hostPort: port 80/TCP is taken by another port of this pod",
			"a.yaml:17: spec.initContainers[1].image: is missing",
			"a.yaml:19: spec.initContainers[1].ports[0].hostPort: port 80/TCP is taken by another port of this pod",
			"a.yaml:20: spec.initContainers[1].readinessProbe: must have exactly one of exec, httpGet, tcpSocket and grpc",
			"a.yaml:21: spec.initContainers[2].name: container side is there twice",
			"a.yaml:23: spec.initContainers[2].restartPolicy: must be one of Always, OnFailure or Never",
		}},
		{name: "what they name must be in the commit, too", yaml: app + `  initContainers:
  - name: i
    image: busybox
    envFrom: [{secretRef: {name: gone}}]
`, errors: []string{"a.yaml:11: spec.initContainers[0].envFrom[0].secretRef.name: Secret default/gone is not in the commit: add it, or mark the reference optional"}},
	})
}

func TestLifecycle(t *testing.T) {
	runCases(t, []validateCase{
		{name: "hooks", yaml: app + `    lifecycle:
      stopSignal: SIGFOO
      postStart: {}
      preStop: {sleep: {seconds: 31}, exec: {command: []}}
  - name: two
    image: busybox
    lifecycle:
      postStart: {sleep: {seconds: -1}}
      preStop: {tcpSocket: {port: web}}
  - name: three
    image: busybox
    lifecycle:
      preStop: {httpGet: {port: 0, scheme: ftp, httpHeaders: [{name: "a b", value: c}]}}
`, errors: []string{
			"a.yaml:9: spec.containers[0].lifecycle.stopSignal: must be the name of a signal, as SIGUSR1 or SIGRTMIN+3",
			"a.yaml:9: spec.containers[0].lifecycle.stopSignal: must not be set without spec.os.name: set it to linux",
			"a.yaml:10: spec.containers[0].lifecycle.postStart: must have exactly one of exec, httpGet, tcpSocket and sleep",
			"a.yaml:11: spec.containers[0].lifecycle.preStop: must have exactly one of exec, httpGet, tcpSocket and sleep",
			"a.yaml:11: spec.containers[0].lifecycle.preStop.exec.command: is missing",
			"a.yaml:11: spec.containers[0].lifecycle.preStop.sleep.seconds: must be between 0 and terminationGracePeriodSeconds (30)",
			"a.yaml:15: spec.containers[1].lifecycle.postStart.sleep.seconds: must be between 0 and terminationGracePeriodSeconds (30)",
			"a.yaml:16: spec.containers[1].lifecycle.preStop.tcpSocket.port: there is no port named \"web\" in this container",
			"a.yaml:20: spec.containers[2].lifecycle.preStop.httpGet.httpHeaders[0].name: a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
			"a.yaml:20: spec.containers[2].lifecycle.preStop.httpGet.port: " + portRange,
			"a.yaml:20: spec.containers[2].lifecycle.preStop.httpGet.scheme: must be one of HTTP or HTTPS",
		}},
		{name: "probes", yaml: app + `    livenessProbe: {grpc: {port: 0}, terminationGracePeriodSeconds: 0}
    readinessProbe: {grpc: {port: 1}, terminationGracePeriodSeconds: 1}
`, errors: []string{
			"a.yaml:8: spec.containers[0].livenessProbe.grpc.port: " + portRange,
			"a.yaml:8: spec.containers[0].livenessProbe.terminationGracePeriodSeconds: must be greater than 0",
			"a.yaml:9: spec.containers[0].readinessProbe.terminationGracePeriodSeconds: must not be set: a readinessProbe ends nothing",
		}},
		{name: "restarts and last words", yaml: app + `    restartPolicyRules:
    - {action: Again, exitCodes: {operator: Near, values: []}}
    - {}
    terminationMessagePath: last-words
    terminationMessagePolicy: Logs
  - name: many
    image: busybox
    restartPolicy: Never
    restartPolicyRules: [` + strings.TrimSuffix(strings.Repeat("{action: Restart, exitCodes: {operator: In, values: [1]}},", 21), ",") + `]
`, errors: []string{
			"a.yaml:6: spec.containers[0].restartPolicy: is missing: a container with restartPolicyRules must have its own",
			"a.yaml:9: spec.containers[0].restartPolicyRules[0].action: must be Restart",
			"a.yaml:9: spec.containers[0].restartPolicyRules[0].exitCodes.operator: must be one of In or NotIn",
			"a.yaml:9: spec.containers[0].restartPolicyRules[0].exitCodes.values: at least one is required",
			"a.yaml:10: spec.containers[0].restartPolicyRules[1].action: is missing",
			"a.yaml:10: spec.containers[0].restartPolicyRules[1].exitCodes: is missing",
			"a.yaml:11: spec.containers[0].terminationMessagePath: must be an absolute path",
			"a.yaml:12: spec.containers[0].terminationMessagePolicy: must be one of File or FallbackToLogsOnError",
			"a.yaml:16: spec.containers[1].restartPolicyRules: must not be more than 20",
		}},
	})
}

func TestSecurity(t *testing.T) {
	runCases(t, []validateCase{
		{name: "profiles", yaml: app + `    securityContext:
      procMount: Half
      seccompProfile: {type: Localhost, localhostProfile: ../a}
      appArmorProfile: {type: Localhost, localhostProfile: " a"}
  - name: two
    image: busybox
    securityContext:
      seccompProfile: {type: Unconfined, localhostProfile: a}
      appArmorProfile: {type: Localhost}
  securityContext:
    fsGroup: -1
    fsGroupChangePolicy: Never
    supplementalGroups: [-1]
    seccompProfile: {type: ""}
    appArmorProfile: {type: Default}
`, errors: []string{
			"a.yaml:9: spec.containers[0].securityContext.procMount: must be one of Default or Unmasked",
			"a.yaml:10: spec.containers[0].securityContext.seccompProfile.localhostProfile: must not contain '..'",
			"a.yaml:11: spec.containers[0].securityContext.appArmorProfile.localhostProfile: must not begin or end with white space",
			"a.yaml:15: spec.containers[1].securityContext.seccompProfile.localhostProfile: must not be set unless the type is Localhost",
			"a.yaml:16: spec.containers[1].securityContext.appArmorProfile.localhostProfile: is missing: the type is Localhost",
			"a.yaml:18: spec.securityContext.fsGroup: must be between 0 and 2147483647, inclusive",
			"a.yaml:19: spec.securityContext.fsGroupChangePolicy: must be one of Always or OnRootMismatch",
			"a.yaml:20: spec.securityContext.supplementalGroups[0]: must be between 0 and 2147483647, inclusive",
			"a.yaml:21: spec.securityContext.seccompProfile.type: is missing",
			"a.yaml:22: spec.securityContext.appArmorProfile.type: must be one of RuntimeDefault, Unconfined or Localhost",
		}},
	})
}

func TestResources(t *testing.T) {
	runCases(t, []validateCase{
		{name: "devices and unknown resources", yaml: app + `    env:
    - {name: A, valueFrom: {resourceFieldRef: {resource: limits.ephemeral-storage}}}
    - {name: B, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1Mi}}}
    resources:
      limits:
        gpu: 1
        nvidia.com/gpu: 500m
        example.com/x: 2
        hugepages-64Ki: 1Mi
        kubernetes.io/y: 1
      requests:
        example.com/x: 1
        example.com/z: 1
        storage: 1Gi
`, errors: []string{
			"a.yaml:9: spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: must be limited in container app: how much the host has is not known",
			"a.yaml:10: spec.containers[0].env[1].valueFrom.resourceFieldRef.divisor: must be one of 1m or 1",
			"a.yaml:13: spec.containers[0].resources.limits.gpu: must be cpu, memory, ephemeral-storage or a device with its domain, as nvidia.com/gpu",
			"a.yaml:14: spec.containers[0].resources.limits[nvidia.com/gpu]: must be a whole number",
			"a.yaml:16: spec.containers[0].resources.limits.hugepages-64Ki: not supported: the engine hands out no huge pages",
			"a.yaml:17: spec.containers[0].resources.limits[kubernetes.io/y]: must be cpu, memory, ephemeral-storage or a device with its domain, as nvidia.com/gpu",
			"a.yaml:19: spec.containers[0].resources.requests[example.com/x]: must be equal to the limit of 2",
			"a.yaml:20: spec.containers[0].resources.requests[example.com/z]: must have a limit as well: devices are not shared",
			"a.yaml:21: spec.containers[0].resources.requests.storage: must be cpu, memory, ephemeral-storage or a device with its domain, as nvidia.com/gpu",
		}},
	})
}
