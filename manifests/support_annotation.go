package manifests

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// supportAnnotations are those that Podyard acts on. Others are kept, and shown to whoever asks for them.
var supportAnnotations = []struct{ name, on, meaning string }{
	{PruneAnnotation, "workloads, Pods, Services, Ingresses", "what becomes of it when it leaves the commit: `foreground`, `background`, `orphan` or `disabled`"},
	{"podyard.dev/volume", "PersistentVolumeClaims", "the Docker volume that it adopts"},
	{waveAnnotation, "workloads, Pods, Services, Ingresses", "the wave in which it is applied"},
	{hookAnnotation, "Jobs, Pods", "runs once in a sync: `PreSync`, `Sync`, `PostSync`, `SyncFail`; `Skip`: never. `PreDelete` and `PostDelete` are accepted with a warning and never run"},
	{hookDeleteAnnotation, "hooks", "when its pods are deleted: `HookSucceeded`, `HookFailed`; `BeforeHookCreation` is always so"},
	{argoOptions, "workloads, Pods, Services, Ingresses", "`Prune=false` keeps it when it leaves the commit; other options mean nothing here"},
	{fluxPruneAnnotation, "workloads, Pods, Services, Ingresses", "`disabled` keeps it when it leaves the commit; as a label, too"},
	{helmHookAnnotation, "Jobs, Pods", "runs as Argo CD runs it: `pre-install`, `pre-upgrade`, `post-install`, `post-upgrade`; others are accepted with a warning and never run"},
	{helmWeightAnnotation, "Jobs, Pods", "the wave, if the one of Argo CD is not set"},
	{helmDeleteAnnotation, "hooks of Helm", "when its pods are deleted: `hook-succeeded`, `hook-failed`"},
	{"storageclass.kubernetes.io/is-default-class", "StorageClasses", "the class of claims that name none"},
	{"controller.kubernetes.io/pod-deletion-cost", "Pods, pod templates", "pods with a lower one go first when a workload is scaled down"},
	{"kubectl.kubernetes.io/default-container", "Pods, pod templates", "the container that `podyard logs` and `podyard exec` mean"},
	{ACMEAnnotation, "Ingresses", "`true`: certificates for the hosts of `spec.tls` come from an ACME server; `false`: they do not, whatever follows says"},
	{"cert-manager.io/cluster-issuer", "Ingresses", "the same as `podyard.dev/acme: \"true\"`, whichever issuer it names"},
	{"cert-manager.io/issuer", "Ingresses", "the same"},
	{tlsACMEAnnotation, "Ingresses", "`true`: the same"},
}

func writeAnnotations(out *bytes.Buffer) {
	out.WriteString("\n## Annotations\n\nThose that Podyard acts on; [ordering.md](ordering.md) tells of waves, hooks and pruning, [ingress.md](ingress.md) of Ingresses.\n\n| Annotation | on | |\n|---|---|---|\n")
	for _, a := range supportAnnotations {
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", a.name, a.on, a.meaning)
	}
	for _, name := range slices.Sorted(maps.Keys(nginxRules)) {
		if rule := nginxRules[name]; rule.problem != nil {
			fmt.Fprintf(out, "| `%s%s` | Ingresses | %s |\n", nginxPrefix, name, rule.meaning)
		}
	}
}
