package status

import (
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Snapshot is everything the overview shows, at one moment. Lists are sorted as they are to be shown.
type Snapshot struct {
	Version  string    `json:"version"`
	Instance string    `json:"instance"`
	DataDir  string    `json:"dataDir"`
	Started  time.Time `json:"started,omitzero"`
	Gateway  Gateway   `json:"gateway,omitzero"`
	Engine   Engine    `json:"engine"`

	Sources []Source `json:"sources"`
	// Revisions is the first page, newest first.
	Revisions []Revision `json:"revisions"`
	Objects   []Object   `json:"objects"`
	Pods      []Pod      `json:"pods"`
	// Events, newest first.
	Events []Event `json:"events"`
}

// Engine is the container engine that runs the pods.
type Engine struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// Error says why it does not answer; empty if it does.
	Error string `json:"error,omitempty"`
}

// Gateway is what serves Service addresses and names. Where it does not answer, the rest is empty; it may serve nevertheless.
type Gateway struct {
	// Backend is "nftables" or "userspace".
	Backend string `json:"backend,omitempty"`
	// Masquerade: pods see the gateway's address in place of their clients'.
	Masquerade bool `json:"masquerade,omitempty"`
	// Reason why it is not nftables, or why it masquerades.
	Reason string `json:"reason,omitempty"`
	// Error says why it does not answer; empty if it does.
	Error string `json:"error,omitempty"`
}

// Health is the state of a source, object or pod in one word, as Flux and kstatus use them.
type Health string

// The values of Health.
const (
	Ready       Health = "Ready"
	Reconciling Health = "Reconciling"
	Stalled     Health = "Stalled"
	Terminating Health = "Terminating"
	Unsupported Health = "Unsupported"
)

// Source is one repository that is watched.
type Source struct {
	Name   string `json:"name"`
	URL    string `json:"url"`
	Branch string `json:"branch,omitempty"`
	Path   string `json:"path,omitempty"`
	// Revision is what was fetched last, as "main@sha1:5394cb7f…".
	Revision string `json:"revision,omitempty"`
	Commit   Commit `json:"commit,omitzero"`
	// State is a phrase: "in sync with 5394cb7 since 10:42", "applying 5394cb7", "held at r12: rolled back by hand".
	State      string    `json:"state"`
	Health     Health    `json:"health"`
	LastFetch  time.Time `json:"lastFetch,omitzero"`
	NextFetch  time.Time `json:"nextFetch,omitzero"`
	FetchError string    `json:"fetchError,omitempty"`
	// Hold is set while the source stays at a revision other than the newest commit.
	Hold      *Hold `json:"hold,omitempty"`
	Suspended bool  `json:"suspended,omitempty"`
}

// Commit says who wrote what when. Subject is the first line of the message.
type Commit struct {
	Hash    string    `json:"hash"`
	Author  string    `json:"author,omitempty"`
	Subject string    `json:"subject,omitempty"`
	When    time.Time `json:"when,omitzero"`
}

// Short is the first seven digits of the hash.
func (c Commit) Short() string {
	if len(c.Hash) > 7 {
		return c.Hash[:7]
	}
	return c.Hash
}

// Hold says at which revision a source is held, and why.
type Hold struct {
	Number uint64    `json:"number"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since,omitzero"`
	// Failed is the number of the revision that failed, if that is why; the source's State tells of it. 0 for a hold by hand.
	Failed uint64 `json:"failed,omitempty"`
}

// Outcome is how a revision ended.
type Outcome string

// The values of Outcome. Another word is shown as it is, without a colour.
const (
	// Applying: it is being rolled out.
	Applying Outcome = "applying"
	// Succeeded: everything of it became ready.
	Succeeded Outcome = "ready"
	// Failed: it did not become ready, and nothing could be brought back.
	Failed Outcome = "failed"
	// RolledBack: it did not become ready, and the last good revision was brought back.
	RolledBack Outcome = "rolled back"
	// Refused: it does not parse, render or validate; nothing was touched.
	Refused Outcome = "refused"
	// Unapproved: it would delete so much that somebody has to approve it; nothing was touched.
	Unapproved Outcome = "unapproved"
	// Superseded: the next commit came before it was ready.
	Superseded Outcome = "superseded"
)

// Revision is one commit that was deployed, or tried.
type Revision struct {
	// Number counts from 1; texts write it r14.
	Number uint64 `json:"number"`
	Source string `json:"source,omitempty"`
	Commit Commit `json:"commit"`
	// Trigger says what made Podyard look: "poll", "push", "rollback", …
	Trigger string `json:"trigger,omitempty"`
	// Reason is given for a rollback: the revision that it returns to, and why.
	Reason  string  `json:"reason,omitempty"`
	Outcome Outcome `json:"outcome"`
	// Message says why, when it is not ready.
	Message string `json:"message,omitempty"`
	// Log is what the container that failed wrote last, if one did.
	Log      string          `json:"log,omitempty"`
	Started  time.Time       `json:"started,omitzero"`
	Finished time.Time       `json:"finished,omitzero"`
	Duration metav1.Duration `json:"duration,omitzero"`
	// Current is set for the revision that runs now.
	Current bool     `json:"current,omitempty"`
	Changes []Change `json:"changes,omitempty"`
	// Images has the digest that ran for each reference of the manifests.
	Images   map[string]string `json:"images,omitempty"`
	Warnings []string          `json:"warnings,omitempty"`
}

// Name is how texts call a revision: r14.
func (r Revision) Name() string { return "r" + strconv.FormatUint(r.Number, 10) }

// RevisionDetail is a revision with what it held.
type RevisionDetail struct {
	Revision
	// YAML is every object as rendered, with the values of Secrets masked.
	YAML string `json:"yaml,omitempty"`
}

// Change says what a revision did to one object of the one before.
type Change struct {
	// Action is "create", "change" or "delete".
	Action string `json:"action"`
	Ref
}

// ObjectDiff is how one object differs between two revisions.
type ObjectDiff struct {
	Change
	// Diff is in unified format, with the values of Secrets masked.
	Diff string `json:"diff"`
}

// Ref names an object.
type Ref struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is how every text names an object: Deployment default/web, Namespace production.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Object is one object of the applied revision, or one that such an object owns.
type Object struct {
	Ref
	Health Health `json:"health"`
	// Message says why, in a sentence.
	Message string `json:"message,omitempty"`
	// Owner is nil for what the commit holds itself.
	Owner *Ref `json:"owner,omitempty"`
	// Summary holds what a table shows of the kind: "ready" → "2/3", "clusterIP" → "10.89.192.7".
	Summary    map[string]string  `json:"summary,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Pod is one pod as the engine runs it, or as it is wanted and waits to be created.
type Pod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	IP        string `json:"ip,omitempty"`
	Health    Health `json:"health,omitempty"`
	// State is the word kubectl prints: "Running", "Init:0/2", "CrashLoopBackOff", "Completed". Message says why.
	State   string `json:"state"`
	Message string `json:"message,omitempty"`
	// Phase and Reason are those of Kubernetes: "Pending", "Running", "Succeeded", "Failed"; "Evicted".
	Phase  string `json:"phase,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Sandbox is the state of the pod's sandbox: "Running", "Exited", "Missing"; empty before there is one.
	Sandbox string `json:"sandbox,omitempty"`
	// Ready counts app containers and sidecars, as "1/1".
	Ready    string    `json:"ready"`
	Restarts int       `json:"restarts"`
	Created  time.Time `json:"created,omitzero"`
	Owner    *Ref      `json:"owner,omitempty"`
	// HostIP is the host's address as pods see it; QOSClass is "Guaranteed", "Burstable" or "BestEffort".
	HostIP     string             `json:"hostIP,omitempty"`
	QOSClass   string             `json:"qosClass,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Containers in the order of their start: init containers, app containers, those added by podyard debug.
	Containers []Container `json:"containers"`
}

// Ref names the pod.
func (p Pod) Ref() Ref { return Ref{Kind: "Pod", Namespace: p.Namespace, Name: p.Name} }

// Container is the latest attempt of one container of a pod.
type Container struct {
	Name string `json:"name"`
	// Init is set for sidecars too; Ephemeral for what podyard debug has added.
	Init      bool `json:"init,omitempty"`
	Sidecar   bool `json:"sidecar,omitempty"`
	Ephemeral bool `json:"ephemeral,omitempty"`
	// Image is the reference of the manifest, ImageID what it meant when the container was created.
	Image   string `json:"image"`
	ImageID string `json:"imageID,omitempty"`
	// State is "Waiting", "Running" or "Terminated"; Reason the word for it, Message the sentence: of one that runs, which
	// probe failed last.
	State    string    `json:"state"`
	Reason   string    `json:"reason,omitempty"`
	Message  string    `json:"message,omitempty"`
	Ready    bool      `json:"ready"`
	Restarts int       `json:"restarts"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	// ExitCode is that of the attempt that ended last; nil if none has ended.
	ExitCode *int `json:"exitCode,omitempty"`
	// Last is how the attempt before this one ended; nil if there was none.
	Last *Ending `json:"last,omitempty"`
	// Stdin and TTY tell what podyard attach can have.
	Stdin bool `json:"stdin,omitempty"`
	TTY   bool `json:"tty,omitempty"`
}

// Ending is how an attempt of a container ended. Message is its termination message, or the engine's words.
type Ending struct {
	Reason   string    `json:"reason,omitempty"`
	Message  string    `json:"message,omitempty"`
	ExitCode int       `json:"exitCode"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
}

// Event is something that happened, Count times, Time being the last.
type Event struct {
	Time time.Time `json:"time,omitzero"`
	// Type is "Normal" or "Warning".
	Type    string `json:"type"`
	Reason  string `json:"reason"`
	Object  Ref    `json:"object"`
	Message string `json:"message"`
	Count   int    `json:"count"`
}
