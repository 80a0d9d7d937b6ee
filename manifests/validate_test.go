package manifests

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// validateCase is a manifest and everything that is to be said about it, as "a.yaml:LINE: field: message".
type validateCase struct {
	name, yaml       string
	errors, warnings []string
}

func runCases(t *testing.T, cases []validateCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			set, errs := assembleText(t, c.yaml)
			compareLines(t, "errors", errs, c.errors)
			if len(errs) > 0 {
				return
			}
			var warnings []string
			for _, w := range set.Warnings {
				warnings = append(warnings, w.String())
			}
			compareLines(t, "warnings", warnings, c.warnings)
		})
	}
}

func assembleText(t *testing.T, text string) (*Set, []string) {
	t.Helper()
	documents, err := parseYAML("a.yaml", []byte(strings.TrimPrefix(text, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	set, err := assemble(documents, Options{})
	if err == nil {
		return set, nil
	}
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatalf("%v is not Errors", err)
	}
	var lines []string
	for _, e := range errs {
		lines = append(lines, e.Error())
	}
	return nil, lines
}

func compareLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const (
	podHead = `
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
`
	app = podHead + `  containers:
  - name: app
    image: busybox
`
	deploymentHead = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: busybox}]}
`
	serviceHead = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
`
	dnsLabel = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end " +
		"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
	portRange = "must be between 1 and 65535, inclusive"
)

func TestFields(t *testing.T) {
	runCases(t, []validateCase{
		{name: "values to which upstream defaults say nothing", yaml: app + `    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    securityContext: {procMount: Default, seccompProfile: {type: RuntimeDefault}}
    lifecycle: {}
    volumeMounts: []
  dnsPolicy: ClusterFirst
  schedulerName: default-scheduler
  hostNetwork: false
  hostUsers: true
  priority: 0
  nodeSelector: {}
  tolerations: null
  initContainers: []
status: {phase: Running}
`},
		{name: "ignored fields warn with their line", yaml: app + `    resources:
      limits: {memory: 1Gi, ephemeral-storage: 1Gi}
  automountServiceAccountToken: true
  readinessGates: [{conditionType: example.com/ready}]
  affinity:
    podAntiAffinity:
      requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname}]
`, warnings: []string{
			"a.yaml:14: Pod default/p: spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution: there is one host: pods that are to keep apart share it",
			"a.yaml:10: Pod default/p: spec.automountServiceAccountToken: there is no API server: no token is mounted",
			"a.yaml:9: Pod default/p: spec.containers[0].resources.limits.ephemeral-storage: the engine does not limit what containers write",
			"a.yaml:11: Pod default/p: spec.readinessGates: there is no controller that would set these conditions: they are shown as Unknown, and the pod does not wait for them",
		}},
		{name: "what one host fulfils by itself is accepted without a word", yaml: app + `  schedulerName: mine
  priorityClassName: system-node-critical
  tolerations: [{operator: Exists}]
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]
  affinity:
    podAffinity:
      requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname}]
`},
		{name: "refused fields are all named at once", yaml: app + `    volumeMounts: [{name: v, mountPath: /v, bindMountOptions: [noexec]}]
    volumeDevices: [{name: v, devicePath: /dev/xvda}]
    resources: {limits: {hugepages-2Mi: 1Gi}, claims: [{name: gpu}]}
    env: [{name: A, valueFrom: {fileKeyRef: {volumeName: v, path: a, key: A}}}]
    readinessProbe: {grpc: {port: 1, mode: TLS}}
    restartPolicy: Never
    restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [1]}}]
  resources: {limits: {cpu: 1}}
  securityContext: {supplementalGroupsPolicy: Strict}
  hostUsers: false
  os: {name: windows}
  ephemeralContainers: [{name: e, image: busybox}]
  volumes:
  - name: v
    projected:
      sources:
      - serviceAccountToken: {path: token}
      - clusterTrustBundle: {path: a}
      - podCertificate: {}
  - {name: i, image: {reference: busybox}}
  - {name: c, csi: {driver: x}}
  - {name: g, gitRepo: {repository: x}}
`, errors: []string{
			"a.yaml:8: spec.containers[0].volumeMounts[0].bindMountOptions: not supported: the engine takes no such options for a mount",
			"a.yaml:9: spec.containers[0].volumeDevices: not supported: there are no volumes that are block devices",
			"a.yaml:10: spec.containers[0].resources.claims: not supported: there is no driver that would allocate devices",
			"a.yaml:10: spec.containers[0].resources.limits.hugepages-2Mi: not supported: the engine hands out no huge pages",
			"a.yaml:11: spec.containers[0].env[0].valueFrom.fileKeyRef: not supported: no environment is read from a volume; let the container's command read the file",
			"a.yaml:12: spec.containers[0].readinessProbe.grpc.mode: not supported yet: only Plaintext",
			"a.yaml:14: spec.containers[0].restartPolicyRules[0].action: not supported: a container restarts alone; only Restart",
			"a.yaml:15: spec.resources: not supported: the engine has no limits for a whole pod; give each container its own resources",
			"a.yaml:16: spec.securityContext.supplementalGroupsPolicy: not supported: the engine adds the groups that the image names; only Merge",
			"a.yaml:17: spec.hostUsers: not supported: containers share the user namespace that the engine gives to all",
			"a.yaml:18: spec.os.name: only Linux containers run",
			"a.yaml:19: spec.ephemeralContainers: no manifest can have any, here or in a cluster: use podyard debug",
			"a.yaml:24: spec.volumes[0].projected.sources[0].serviceAccountToken: not supported: there is no API server that would issue a token",
			"a.yaml:25: spec.volumes[0].projected.sources[1].clusterTrustBundle: not supported: there is no API server that would hold or sign certificates",
			"a.yaml:26: spec.volumes[0].projected.sources[2].podCertificate: not supported: there is no API server that would hold or sign certificates",
			"a.yaml:27: spec.volumes[1].image: not supported: no volume is made of an image; copy its files in an init container",
			"a.yaml:28: spec.volumes[2].csi: not supported: there is no driver for this kind of volume",
			"a.yaml:29: spec.volumes[3].gitRepo: not supported, here or in a cluster: clone the repository in an init container",
		}},
		{name: "a NetworkPolicy is refused", yaml: `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
`, errors: []string{"a.yaml:2: kind: NetworkPolicy is not supported yet, and ignoring it would be unsafe: traffic that it forbids would be let through. Take it out of what Podyard applies, as with a kustomize patch with $patch: delete"}},
	})
}

func TestMetadata(t *testing.T) {
	runCases(t, []validateCase{
		{name: "names, labels and annotations", yaml: `
apiVersion: v1
kind: Namespace
metadata:
  name: Upper
  labels:
    app: "-a"
  annotations:
    a/b/c: x
    Example.org/ok: y
`, errors: []string{
			"a.yaml:4: metadata.name: " + dnsLabel,
			"a.yaml:6: metadata.labels[app]: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
			"a.yaml:8: metadata.annotations[a/b/c]: a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
		}},
		{name: "keys of ConfigMaps", yaml: `
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data:
  ok.txt: a
  both: a
binaryData:
  both: YQ==
  ..: YQ==
`, errors: []string{"a.yaml:6: data[both]: is also in binaryData", "a.yaml:9: binaryData[..]: must not be '..'"}},
		{name: "a Secret never shows its values", yaml: `
apiVersion: v1
kind: Secret
metadata: {name: s}
type: kubernetes.io/tls
stringData:
  tls.crt: hunter2
  "a b": hunter3
`, errors: []string{
			"a.yaml:4: type: Secrets of type kubernetes.io/tls must have the key tls.key",
			"a.yaml:7: stringData: a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
		}},
	})
}

func TestPods(t *testing.T) {
	runCases(t, []validateCase{
		{name: "a complete pod passes", yaml: app + `    command: [/bin/httpd]
    ports: [{name: http, containerPort: 80, hostPort: 8080}]
    env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: L, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}]
    readinessProbe: {httpGet: {port: http}}
    volumeMounts: [{name: tmp, mountPath: /tmp, subPath: a/b}]
    resources: {limits: {memory: 1Gi}, requests: {memory: 1Mi}}
  volumes: [{name: tmp}]
  hostAliases: [{ip: 10.0.0.1, hostnames: [db.local]}]
`},
		{name: "a pod without containers", yaml: podHead + "  containers: []\n", errors: []string{"a.yaml:5: spec.containers: at least one container is required"}},
		{name: "names, images and ports", yaml: podHead + `  hostname: A
  containers:
  - name: app
    image: busy box
    ports:
    - {name: http, containerPort: 80, hostPort: 80}
    - {name: http, containerPort: 0}
  - name: app
    ports:
    - {containerPort: 70000, hostPort: 80, hostIP: 127.0.0.1}
`, errors: []string{
			"a.yaml:5: spec.hostname: " + dnsLabel,
			"a.yaml:8: spec.containers[0].image: invalid reference format",
			"a.yaml:11: spec.containers[0].ports[1].containerPort: " + portRange,
			"a.yaml:11: spec.containers[0].ports[1].name: port http is there twice",
			"a.yaml:12: spec.containers[1].image: is missing",
			"a.yaml:12: spec.containers[1].name: container app is there twice",
			"a.yaml:14: spec.containers[1].ports[0].containerPort: " + portRange,
			"a.yaml:14: spec.containers[1].ports[0].hostPort: port 80/TCP is taken by another port of this pod",
		}},
		{name: "environment", yaml: app + `    env:
    - {name: "A=B", value: x}
    - {name: C, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: D, valueFrom: {}}
    - {name: E, valueFrom: {fieldRef: {fieldPath: spec.priority}}}
    - {name: F, valueFrom: {resourceFieldRef: {resource: limits.gpu, containerName: other}}}
    envFrom:
    - prefix: X
`, errors: []string{
			"a.yaml:9: spec.containers[0].env[0].name: a valid environment variable name must consist only of printable ASCII characters other than '='",
			"a.yaml:10: spec.containers[0].env[1].valueFrom: must not be set together with value",
			"a.yaml:11: spec.containers[0].env[2].valueFrom: must have exactly one source",
			"a.yaml:12: spec.containers[0].env[3].valueFrom.fieldRef.fieldPath: must be one of metadata.name, metadata.namespace, metadata.uid, spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP, status.podIPs, metadata.labels['KEY'] or metadata.annotations['KEY']",
			"a.yaml:13: spec.containers[0].env[4].valueFrom.resourceFieldRef.containerName: there is no container other in this pod",
			"a.yaml:13: spec.containers[0].env[4].valueFrom.resourceFieldRef.resource: must be one of limits.cpu, limits.memory, limits.ephemeral-storage, requests.cpu, requests.memory or requests.ephemeral-storage",
			"a.yaml:15: spec.containers[0].envFrom[0]: must have exactly one of configMapRef and secretRef",
		}},
		{name: "volumes and mounts", yaml: app + `    volumeMounts:
    - {name: gone, mountPath: /a}
    - {name: v, mountPath: a}
    - {name: v, mountPath: /a/, subPath: ../x}
    - {name: v, mountPath: /b, subPath: /x}
  volumes:
  - name: v
    emptyDir: {medium: Disk, sizeLimit: -1}
  - name: v
    emptyDir: {}
    hostPath: {path: /srv/../etc}
  - name: c
    configMap: {name: c, optional: true, defaultMode: 512, items: [{key: k, path: ..data}, {key: k, path: /x}]}
`, errors: []string{
			"a.yaml:9: spec.containers[0].volumeMounts[0].name: there is no volume gone in this pod",
			"a.yaml:10: spec.containers[0].volumeMounts[1].mountPath: must be an absolute path",
			"a.yaml:11: spec.containers[0].volumeMounts[2].mountPath: mount path /a is there twice",
			"a.yaml:11: spec.containers[0].volumeMounts[2].subPath: must not contain '..'",
			"a.yaml:12: spec.containers[0].volumeMounts[3].subPath: must be a relative path",
			"a.yaml:15: spec.volumes[0].emptyDir.medium: must be Memory",
			"a.yaml:15: spec.volumes[0].emptyDir.sizeLimit: must be greater than or equal to 0",
			"a.yaml:16: spec.volumes[1]: must have exactly one source, as emptyDir or configMap",
			"a.yaml:16: spec.volumes[1].name: volume v is there twice",
			"a.yaml:18: spec.volumes[1].hostPath.path: must not contain '..'",
			"a.yaml:20: spec.volumes[2].configMap.defaultMode: must be between 0 and 0777 (octal)",
			"a.yaml:20: spec.volumes[2].configMap.items[0].path: must not begin with '..'",
			"a.yaml:20: spec.volumes[2].configMap.items[1].path: must be a relative path",
		}},
		{name: "probes", yaml: app + `    livenessProbe: {exec: {command: [a]}, tcpSocket: {port: 1}, successThreshold: 2}
    readinessProbe: {httpGet: {port: web, scheme: FTP}, periodSeconds: -1}
    startupProbe: {}
`, errors: []string{
			"a.yaml:8: spec.containers[0].livenessProbe: must have exactly one of exec, httpGet, tcpSocket and grpc",
			"a.yaml:8: spec.containers[0].livenessProbe.successThreshold: must be 1",
			"a.yaml:9: spec.containers[0].readinessProbe.httpGet.port: there is no port named \"web\" in this container",
			"a.yaml:9: spec.containers[0].readinessProbe.httpGet.scheme: must be one of HTTP or HTTPS",
			"a.yaml:9: spec.containers[0].readinessProbe.periodSeconds: must be greater than or equal to 0",
			"a.yaml:10: spec.containers[0].startupProbe: must have exactly one of exec, httpGet, tcpSocket and grpc",
		}},
		{name: "resources and security", yaml: app + `    resources:
      requests: {cpu: 2, memory: 1Gi}
      limits: {cpu: 1, memory: -1}
    securityContext: {privileged: true, allowPrivilegeEscalation: false, runAsUser: -1}
  securityContext: {sysctls: [{name: "net core", value: "1"}]}
`, errors: []string{
			"a.yaml:9: spec.containers[0].resources.requests.cpu: must be less than or equal to the limit of 1",
			"a.yaml:10: spec.containers[0].resources.limits.memory: must be greater than or equal to 0",
			"a.yaml:11: spec.containers[0].securityContext.allowPrivilegeEscalation: must not be false when privileged is true",
			"a.yaml:11: spec.containers[0].securityContext.runAsUser: must be between 0 and 2147483647, inclusive",
			"a.yaml:12: spec.securityContext.sysctls[0].name: must be the name of a sysctl, as net.core.somaxconn",
		}},
	})
}

func TestDeployments(t *testing.T) {
	runCases(t, []validateCase{
		{name: "numbers and strategy", yaml: deploymentHead + `  selector: {matchLabels: {app: web}}
  replicas: -1
  minReadySeconds: 10
  progressDeadlineSeconds: 10
  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}
`, errors: []string{
			"a.yaml:9: spec.replicas: must be greater than or equal to 0",
			"a.yaml:11: spec.progressDeadlineSeconds: must be greater than minReadySeconds (10)",
			"a.yaml:12: spec.strategy.rollingUpdate.maxUnavailable: must not be 0 when maxSurge is 0: no pod could ever be replaced",
		}},
		{name: "selector that does not match", yaml: deploymentHead + "  selector: {matchLabels: {app: api}}\n",
			errors: []string{"a.yaml:6: spec.template.metadata.labels: must match spec.selector (app=api)"}},
		{name: "selector that is empty", yaml: deploymentHead + "  selector: {}\n",
			errors: []string{"a.yaml:8: spec.selector: must not be empty: it would select every pod"}},
		{name: "selector that is missing", yaml: deploymentHead, errors: []string{"a.yaml:4: spec.selector: is missing"}},
		{name: "forms of maxSurge and maxUnavailable", yaml: deploymentHead + `  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxSurge: many, maxUnavailable: 101%}}
`, errors: []string{
			"a.yaml:9: spec.strategy.rollingUpdate.maxSurge: must be a whole number or a percentage, as 1 or 25%",
			"a.yaml:9: spec.strategy.rollingUpdate.maxUnavailable: must not be more than 100%",
		}},
		{name: "Recreate with rollingUpdate", yaml: deploymentHead + `  selector: {matchLabels: {app: web}}
  strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}
`, errors: []string{"a.yaml:9: spec.strategy.rollingUpdate: must not be set when the type is Recreate"}},
		{name: "pods that end", yaml: strings.Replace(deploymentHead, "spec: {containers", "spec: {restartPolicy: Never, containers", 1) + "  selector: {matchLabels: {app: web}}\n",
			errors: []string{"a.yaml:7: spec.template.spec.restartPolicy: must be Always in a Deployment"}},
	})
}

func TestServices(t *testing.T) {
	runCases(t, []validateCase{
		{name: "headless without ports", yaml: serviceHead + "  clusterIP: None\n"},
		{name: "no ports", yaml: serviceHead + "  selector: {app: web}\n", errors: []string{"a.yaml:4: spec.ports: at least one port is required, except for a headless Service"}},
		{name: "ports and addresses", yaml: serviceHead + `  clusterIP: fd00::1
  clusterIPs: [10.0.0.1]
  ports:
  - {port: 80}
  - {port: 80, name: http, targetPort: 0x10000}
  - {port: 0, name: http, targetPort: Not_A_Name}
`, errors: []string{
			"a.yaml:5: spec.clusterIP: must be None or an IPv4 address",
			"a.yaml:6: spec.clusterIPs: must hold the same single address as clusterIP",
			"a.yaml:8: spec.ports[0].name: is missing: with several ports each needs a name",
			"a.yaml:9: spec.ports[1].port: port 80/TCP is there twice",
			"a.yaml:9: spec.ports[1].targetPort: " + portRange,
			"a.yaml:10: spec.ports[2].name: port http is there twice",
			"a.yaml:10: spec.ports[2].port: " + portRange,
			"a.yaml:10: spec.ports[2].targetPort: must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
		}},
	})
}

func TestReferences(t *testing.T) {
	const pod = app + `    env:
    - {name: A, valueFrom: {configMapKeyRef: {name: c, key: a}}}
    - {name: B, valueFrom: {secretKeyRef: {name: s, key: b}}}
    envFrom:
    - configMapRef: {name: gone, optional: true}
    - secretRef: {name: gone}
  volumes:
  - {name: c, configMap: {name: c, items: [{key: b, path: b}]}}
  - {name: s, secret: {secretName: other}}
`
	const there = `---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {b: x}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {b: x}
---
apiVersion: v1
kind: Secret
metadata: {name: gone, namespace: elsewhere}
`
	runCases(t, []validateCase{
		{name: "nothing is there", yaml: pod, errors: []string{
			"a.yaml:9: spec.containers[0].env[0].valueFrom.configMapKeyRef.name: ConfigMap default/c is not in the commit: add it, or mark the reference optional",
			"a.yaml:10: spec.containers[0].env[1].valueFrom.secretKeyRef.name: Secret default/s is not in the commit: add it, or mark the reference optional",
			"a.yaml:13: spec.containers[0].envFrom[1].secretRef.name: Secret default/gone is not in the commit: add it, or mark the reference optional",
			"a.yaml:15: spec.volumes[0].configMap.name: ConfigMap default/c is not in the commit: add it, or mark the reference optional",
			"a.yaml:16: spec.volumes[1].secret.secretName: Secret default/other is not in the commit: add it, or mark the reference optional",
		}},
		{name: "some keys and objects are there", yaml: pod + there, errors: []string{
			"a.yaml:9: spec.containers[0].env[0].valueFrom.configMapKeyRef.key: key a of ConfigMap default/c is not in the commit: add it, or mark the reference optional",
			"a.yaml:13: spec.containers[0].envFrom[1].secretRef.name: Secret default/gone is not in the commit: add it, or mark the reference optional",
			"a.yaml:16: spec.volumes[1].secret.secretName: Secret default/other is not in the commit: add it, or mark the reference optional",
		}},
	})
}

func TestLoadNamesFileAndLineOfWhatIsInvalid(t *testing.T) {
	tree := fstest.MapFS{"apps/web.yaml": {Data: []byte(strings.TrimPrefix(deploymentHead, "\n") + "  selector: {matchLabels: {app: web}}\n  replicas: -1\n")}}
	_, err := Load(t.Context(), tree, "apps", Options{})
	if err == nil || err.Error() != "apps/web.yaml:9: spec.replicas: must be greater than or equal to 0" {
		t.Errorf("error: %v", err)
	}
}
