package status

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// noon is when the sample was taken.
var noon = time.Date(2025, 11, 20, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return noon.Add(-d) }

// sample is a small shop in the middle of a bad commit: the old version serves, the new one crashes.
func sample() Snapshot {
	return Snapshot{
		Version: "v0.1.0", Instance: "shop", DataDir: "/var/lib/podyard", Started: before(26 * time.Hour),
		Gateway: Gateway{Backend: "nftables"}, Engine: Engine{Name: "Docker", Version: "28.5.2"},
		Sources: []Source{{
			Name: "main", URL: "https://git.example.com/shop/deploy.git", Branch: "main", Path: "overlays/production",
			Revision: "main@sha1:5394cb7f0a3e1d2c4b5a69788796a5b4c3d2e1f0", Commit: sampleCommit("5394cb7f0a3e", "Roll the cache to version 8"),
			State: "applying 5394cb7: 1 of 3 new pods is ready", Health: Reconciling,
			LastFetch: before(14 * time.Second), NextFetch: noon.Add(46 * time.Second),
		}},
		Revisions: sampleRevisions(),
		Objects:   sampleObjects(),
		Pods:      samplePods(),
		Events: []Event{
			{before(4 * time.Second), "Warning", "BackOff", podRef("cache-7d9f8-x2x9c"), "back-off 40s restarting failed container cache", 3},
			{before(21 * time.Second), "Normal", "Pulled", podRef("cache-7d9f8-x2x9c"), "image registry.example.com/shop/cache:8 is present", 1},
			{before(22 * time.Second), "Normal", "ScalingReplicaSet", Ref{"Deployment", "shop", "cache"}, "scaled up ReplicaSet cache-7d9f8 to 1", 1},
		},
	}
}

func podRef(name string) Ref { return Ref{"Pod", "shop", name} }

func sampleCommit(hash, subject string) Commit {
	return Commit{Hash: hash + "1d2c4b5a69788796a5b4c3d2e1f0", Author: "Ada Lovelace", Subject: subject, When: before(50 * time.Second)}
}

func sampleRevisions() []Revision {
	took := func(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }
	return []Revision{
		{Number: 14, Source: "main", Commit: sampleCommit("5394cb7f0a3e", "Roll the cache to version 8"), Trigger: "push",
			Outcome: Applying, Started: before(24 * time.Second),
			Changes: []Change{{"change", Ref{"Deployment", "shop", "cache"}}}},
		{Number: 13, Source: "main", Commit: sampleCommit("c01dcafe4242", "Show prices with tax"), Trigger: "push",
			Outcome: Succeeded, Started: before(3 * time.Hour), Finished: before(3*time.Hour - 4200*time.Millisecond),
			Duration: took(4200 * time.Millisecond), Current: true,
			Changes: []Change{{"change", Ref{"Deployment", "shop", "web"}}, {"create", Ref{"ConfigMap", "shop", "prices"}}},
			Images: map[string]string{
				"registry.example.com/shop/web:42":  "registry.example.com/shop/web@sha256:4f2a91c0d3b7e85566778899aabbccddeeff00112233445566778899aabbccdd",
				"registry.example.com/shop/cache:7": "registry.example.com/shop/cache@sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f900112233445566778899aabbccddeeff",
			},
			Warnings: []string{"overlays/production/web.yaml:31: Deployment shop/web: spec.template.spec.affinity: there is one node, so affinity means nothing here"}},
		{Number: 12, Source: "main", Commit: sampleCommit("bad0bad0bad0", "Try the new template engine"), Trigger: "poll",
			Outcome: RolledBack, Message: "Deployment shop/web: container web of pod web-66b7f-9kk2p: CrashLoopBackOff: exit code 1; r11 was brought back",
			Log:     "reading templates from /etc/web\npanic: template: cart.html:12: unexpected EOF\n",
			Started: before(5 * time.Hour), Duration: took(72 * time.Second)},
		{Number: 11, Source: "main", Commit: sampleCommit("ab12cd34ef56", "Two web pods"), Trigger: "start",
			Outcome: Succeeded, Started: before(26 * time.Hour), Duration: took(840 * time.Millisecond)},
		{Number: 10, Source: "main", Commit: sampleCommit("0000aaaa1111", "Add a web pod"), Trigger: "push", Outcome: Refused,
			Message: "overlays/production/web.yaml:12: Deployment shop/web: spec.replicas: must be at least 0", Started: before(30 * time.Hour)},
		{Number: 9, Source: "main", Commit: sampleCommit("9999aaaa1111", "Tidy up what was left over from the days when the shop had three caches and no front end"), Trigger: "push", Outcome: Superseded,
			Started: before(31 * time.Hour), Duration: took(2 * time.Second)},
	}
}

func sampleObjects() []Object {
	web, cache := Ref{"Deployment", "shop", "web"}, Ref{"Deployment", "shop", "cache"}
	oldCache, newCache := Ref{"ReplicaSet", "shop", "cache-5c4d7"}, Ref{"ReplicaSet", "shop", "cache-7d9f8"}
	return []Object{
		{Ref: Ref{"Namespace", "", "shop"}, Health: Ready},
		{Ref: Ref{"ConfigMap", "shop", "prices"}, Health: Ready},
		{Ref: web, Health: Ready, Summary: map[string]string{"ready": "2/2", "image": "registry.example.com/shop/web:42"}},
		{Ref: Ref{"ReplicaSet", "shop", "web-5d4f8"}, Health: Ready, Owner: &web, Summary: map[string]string{"ready": "2/2"}},
		{Ref: cache, Health: Reconciling, Message: "1 of 1 pod ready; new pod cache-7d9f8-x2x9c: container cache: CrashLoopBackOff: exit code 2",
			Summary: map[string]string{"ready": "1/1", "image": "registry.example.com/shop/cache:8"},
			Conditions: []metav1.Condition{
				{Type: "Available", Status: "True", Reason: "MinimumReplicasAvailable", Message: "1 pod is available, 1 is asked for", LastTransitionTime: metav1.NewTime(before(3 * time.Hour))},
				{Type: "Progressing", Status: "True", Reason: "ReplicaSetUpdated", LastTransitionTime: metav1.NewTime(before(24 * time.Second))},
			}},
		{Ref: newCache, Health: Stalled, Owner: &cache, Message: "0 of 1 pod ready", Summary: map[string]string{"ready": "0/1"}},
		{Ref: oldCache, Health: Ready, Owner: &cache, Summary: map[string]string{"ready": "1/1"}},
		{Ref: podRef("cache-7d9f8-x2x9c"), Health: Stalled, Owner: &newCache, Message: "container cache: CrashLoopBackOff: exit code 2"},
		{Ref: podRef("cache-5c4d7-aa8bb"), Health: Ready, Owner: &oldCache},
		{Ref: Ref{"Job", "shop", "migrate"}, Health: Ready, Summary: map[string]string{
			"completions": "1/1", "duration": "4s", "images": "registry.example.com/shop/migrate:42"}},
		{Ref: Ref{"PersistentVolumeClaim", "shop", "reports"}, Health: Ready, Summary: map[string]string{
			"status": "Bound", "volume": "podyard_shop_claim_shop_reports", "capacity": "1Gi", "accessModes": "RWO"}},
		{Ref: Ref{"Service", "shop", "web"}, Health: Ready, Summary: map[string]string{"clusterIP": "10.89.192.7", "ports": "80/TCP", "endpoints": "2"}},
		{Ref: Ref{"HorizontalPodAutoscaler", "shop", "web"}, Health: Unsupported, Message: "autoscaling needs metrics that Podyard does not collect"},
		{Ref: Ref{"Service", "monitoring", "probe"}, Health: Ready, Summary: map[string]string{"type": "NodePort", "clusterIP": "10.89.192.9", "ports": "9115:30115/TCP",
			"published": "0.0.0.0:30115 → 9115/TCP"}},
		{Ref: Ref{"Service", "monitoring", "front"}, Health: Ready, Summary: map[string]string{"type": "LoadBalancer", "clusterIP": "10.89.192.8",
			"ports": "80/TCP", "published": "0.0.0.0:80 → 80/TCP", "externalIP": "203.0.113.7"}},
		{Ref: Ref{"Service", "monitoring", "store"}, Health: Ready, Summary: map[string]string{"type": "ExternalName", "externalName": "store.example.org"}},
		{Ref: Ref{"Ingress", "monitoring", "front"}, Health: Ready, Summary: map[string]string{"class": "nginx", "hosts": "status.example.org,example.org",
			"address": "203.0.113.7", "ports": "8080,8443"}},
	}
}

func samplePods() []Pod {
	code, zero, interrupt := 2, 0, 130
	running := func(name, image string) Container {
		return Container{Name: name, Image: image, ImageID: "sha256:4f2a91c0d3b7e85566778899aabbccddeeff00112233445566778899aabbccdd",
			State: "Running", Ready: true, Started: before(3 * time.Hour)}
	}
	owner := func(name string) *Ref { return &Ref{"ReplicaSet", "shop", name} }
	return []Pod{
		{Namespace: "shop", Name: "cache-5c4d7-aa8bb", IP: "10.89.0.11", State: "Running", Sandbox: "Running", Ready: "1/1",
			Created: before(26 * time.Hour), Owner: owner("cache-5c4d7"),
			Containers: []Container{running("cache", "registry.example.com/shop/cache:7")}},
		{Namespace: "shop", Name: "cache-7d9f8-x2x9c", IP: "10.89.0.14", State: "CrashLoopBackOff", Sandbox: "Running", Ready: "0/1",
			Restarts: 3, Created: before(22 * time.Second), Owner: owner("cache-7d9f8"),
			Containers: []Container{{Name: "cache", Image: "registry.example.com/shop/cache:8", ImageID: "sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f900112233445566778899aabbccddeeff",
				State: "Waiting", Reason: "CrashLoopBackOff", Message: "back-off 40s restarting failed container cache",
				Restarts: 3, Started: before(6 * time.Second), Finished: before(5 * time.Second), ExitCode: &code,
				Last: &Ending{Reason: "Error", Message: "unknown directive \"maxmemory-polcy\"\n", ExitCode: 2, Started: before(6 * time.Second), Finished: before(5 * time.Second)}}}},
		{Namespace: "shop", Name: "import-x7k2p", State: "Init:2/3", Phase: "Pending", Sandbox: "Running", Ready: "1/2", IP: "10.89.0.15", QOSClass: "Burstable",
			Message: "init container fetch: it has not ended yet", Health: Reconciling, Created: before(40 * time.Second),
			Conditions: []metav1.Condition{
				{Type: "Initialized", Status: "False", Reason: "ContainersNotInitialized", Message: "containers with incomplete status: [fetch]", LastTransitionTime: metav1.NewTime(before(40 * time.Second))},
				{Type: "Ready", Status: "False", Reason: "ContainersNotReady", Message: "containers with unready status: [import]", LastTransitionTime: metav1.NewTime(before(40 * time.Second))},
				{Type: "PodScheduled", Status: "True", LastTransitionTime: metav1.NewTime(before(40 * time.Second))},
			},
			Containers: []Container{
				{Name: "migrate", Init: true, Image: "registry.example.com/shop/migrate:3", State: "Terminated", Reason: "Completed", Ready: true,
					Started: before(39 * time.Second), Finished: before(31 * time.Second), ExitCode: &zero},
				{Name: "proxy", Init: true, Sidecar: true, Image: "registry.example.com/tools/proxy:2", State: "Running", Ready: true, Started: before(30 * time.Second)},
				{Name: "fetch", Init: true, Image: "registry.example.com/shop/fetch:3", State: "Running", Started: before(29 * time.Second)},
				{Name: "import", Image: "registry.example.com/shop/import:3", State: "Waiting", Reason: "PodInitializing"},
				{Name: "debugger-4xk7p", Ephemeral: true, Image: "busybox:1.37", State: "Terminated", Reason: "Error", Started: before(20 * time.Second), Finished: before(10 * time.Second), ExitCode: &interrupt},
			}},
		{Namespace: "shop", Name: "report-5f6d7-b8c9d", State: "Pending", Phase: "Pending", Ready: "0/1", QOSClass: "BestEffort", Owner: owner("report-5f6d7"),
			Health: Stalled, Message: "this host's labels do not satisfy its nodeSelector: podyard run --node-label KEY=VALUE adds some",
			Conditions: []metav1.Condition{{Type: "PodScheduled", Status: "False", Reason: "Unschedulable", LastTransitionTime: metav1.NewTime(before(24 * time.Second)),
				Message: "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."}},
			Containers: []Container{{Name: "report", Image: "registry.example.com/shop/report:1", State: "Waiting"}}},
		{Namespace: "shop", Name: "web-5d4f8-2m7rt", IP: "10.89.0.12", State: "Running", Sandbox: "Running", Ready: "2/2",
			Created: before(3 * time.Hour), Owner: owner("web-5d4f8"),
			Containers: []Container{running("web", "registry.example.com/shop/web:42"), running("log-shipper", "registry.example.com/tools/shipper:1.4")}},
		{Namespace: "shop", Name: "web-5d4f8-q9w3e", IP: "10.89.0.13", State: "Running", Sandbox: "Running", Ready: "2/2",
			Created: before(3 * time.Hour), Owner: owner("web-5d4f8"),
			Containers: []Container{running("web", "registry.example.com/shop/web:42"), running("log-shipper", "registry.example.com/tools/shipper:1.4")}},
	}
}

// sampleDiffs is what r13 changed.
func sampleDiffs() []ObjectDiff {
	return []ObjectDiff{
		{Change{"change", Ref{"Deployment", "shop", "web"}}, "--- r12\n+++ r13\n@@ -10,7 +10,8 @@\n     spec:\n       containers:\n       - name: web\n" +
			"-        image: registry.example.com/shop/web:41\n+        image: registry.example.com/shop/web:42\n+        args: [\"--tax\"]\n         ports:\n"},
		{Change{"create", Ref{"ConfigMap", "shop", "prices"}}, "@@ -0,0 +1,4 @@\n+apiVersion: v1\n+kind: ConfigMap\n+metadata:\n+  name: prices\n"},
	}
}

const sampleYAML = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: shop\ndata:\n  password: '*** (12 bytes)'\n"

const sampleLog = "\x1b[32mINFO\x1b[0m cache 8.0.1 starting\r\nINFO reading /etc/cache.conf\nFATAL /etc/cache.conf:3: unknown directive \"maxmemory-polcy\"\n"
