package docker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sync/errgroup"

	"github.com/podyard/podyard/runtime"
)

// State implements runtime.Observer. While the event stream stands it asks the engine nothing.
func (e *Engine) State(ctx context.Context) (*runtime.State, error) {
	if err := e.synced(ctx); err != nil {
		return nil, err
	}
	extras := e.cache.engineExtras()
	state := &runtime.State{
		Instance:     e.options.Instance,
		Host:         e.facts.host(),
		Capacity:     e.facts.capacity(),
		Runtimes:     extras.runtimes,
		CDI:          extras.cdi,
		AppArmor:     extras.appArmor,
		Images:       e.images.snapshot(),
		Volumes:      e.claims.snapshot(),
		OtherVolumes: e.claims.otherNames(),
		Routes:       e.ingress.addTo(e.link.snapshot()),
		ServiceCIDR:  e.cache.serviceCIDR(),
		Certificates: e.ingress.automatic(),
	}
	if shared := e.ensured(); shared.ready() {
		state.HostIP = shared.network.bridge.String()
	}
	all := e.cache.all()
	state.Pods = podsOf(all, state.HostIP)
	state.Publications = append(e.publishedIngress(), publicationsOf(all)...)
	return state, nil
}

// podsOf groups containers by sandbox and sorts. Containers whose sandbox is gone make a pod that is Missing. Pods in the
// host's network have its address.
func podsOf(entries []*entry, hostIP string) []runtime.Pod {
	bySandbox := map[string]*runtime.Pod{}
	for _, en := range entries {
		if en.role == roleSandbox {
			pod := *en.pod
			if pod.Manifest.Spec.HostNetwork {
				pod.IP = hostIP
			}
			bySandbox[en.id] = &pod
		}
	}
	for _, en := range entries {
		if en.role != roleContainer {
			continue
		}
		pod := bySandbox[en.sandbox]
		if pod == nil {
			pod = &runtime.Pod{Manifest: en.owner, ID: en.sandbox, Phase: runtime.Missing}
			bySandbox[en.sandbox] = pod
		}
		pod.Containers = append(pod.Containers, *en.container)
	}
	pods := make([]runtime.Pod, 0, len(bySandbox))
	for _, pod := range bySandbox {
		slices.SortFunc(pod.Containers, compareContainers)
		pods = append(pods, *pod)
	}
	slices.SortFunc(pods, comparePods)
	return pods
}

func compareContainers(a, b runtime.Container) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Attempt, b.Attempt), cmp.Compare(a.ID, b.ID))
}

func comparePods(a, b runtime.Pod) int {
	return cmp.Or(cmp.Compare(a.Manifest.Namespace, b.Manifest.Namespace), cmp.Compare(a.Manifest.Name, b.Manifest.Name),
		cmp.Compare(a.Manifest.UID, b.Manifest.UID), cmp.Compare(a.ID, b.ID))
}

// synced lists everything unless the cache is kept up to date by events.
func (e *Engine) synced(ctx context.Context) error {
	if e.cache.isLive() {
		return nil
	}
	e.syncing.Lock()
	defer e.syncing.Unlock()
	if e.cache.isLive() {
		return nil
	}
	return e.list(ctx)
}

// inspections is how many containers are looked up at once: enough to hide the latency of a remote engine.
const inspections = 8

// list looks up every container of ours, those that are known and may be gone, the images that were asked for, and the
// persistent volumes.
func (e *Engine) list(ctx context.Context) error {
	e.cache.forget(time.Now().Add(-time.Minute))
	list, err := e.cli.ContainerList(ctx, container.ListOptions{All: true, Filters: e.ours()})
	if err != nil {
		return wrap("list", "containers", err)
	}
	ids := map[string]bool{}
	for _, c := range list {
		ids[c.ID] = true
	}
	for _, en := range e.cache.all() {
		ids[en.id] = true
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(inspections)
	for id := range maps.Keys(ids) {
		group.Go(func() error { return e.look(groupCtx, id) })
	}
	group.Go(func() error { return e.lookAtImages(groupCtx) })
	group.Go(func() error { return e.lookAtNetwork(groupCtx) })
	group.Go(func() error { return e.lookAtClaims(groupCtx) })
	return group.Wait()
}

// ours selects what carries the label of this instance.
func (e *Engine) ours() filters.Args {
	return filters.NewArgs(filters.Arg("label", labelInstance+"="+e.options.Instance))
}

// look is refresh for those who do not need what it found.
func (e *Engine) look(ctx context.Context, id string) error {
	_, err := e.refresh(ctx, id)
	return err
}

// refresh asks the engine for one container and remembers the answer. The entry is nil if there is no such container, or
// if it is not ours.
func (e *Engine) refresh(ctx context.Context, id string) (*entry, error) {
	ticket := e.cache.ticket()
	found, err := e.cli.ContainerInspect(ctx, id)
	if cerrdefs.IsNotFound(err) {
		e.noteGone(id, ticket)
		return nil, nil
	}
	if err != nil {
		return nil, wrap("inspect", "container "+id, err)
	}
	if found.ID != id || found.Config.Labels[labelInstance] != e.options.Instance {
		return nil, nil
	}
	old := e.cache.get(id)
	looked := decode(found, e.names.network(), old)
	if err := e.readMessage(ctx, looked, old); err != nil {
		return nil, wrap("read the termination message of", looked.object(), err)
	}
	now := e.cache.put(id, ticket, looked)
	e.noteAgents(old, now)
	return now, nil
}

// noteGone remembers that there is no such container any more: IDs are not given again.
func (e *Engine) noteGone(id string, ticket uint64) {
	old := e.cache.get(id)
	e.cache.put(id, ticket, nil)
	e.noteAgents(old, nil)
}

// known returns what is remembered of a container of ours with one of the roles, or looks for it. What is not ours is
// as good as not there: its ID is no ID of this instance.
func (e *Engine) known(ctx context.Context, id string, roles ...string) (*entry, error) {
	en := e.cache.get(id)
	if en == nil {
		var err error
		if en, err = e.refresh(ctx, id); err != nil {
			return nil, err
		}
	}
	if en == nil || !slices.Contains(roles, en.role) {
		return nil, fmt.Errorf("%s %s: %w", roles[0], short(id), runtime.ErrNotFound)
	}
	return en, nil
}

// short is an ID as Docker's own tools print it.
func short(id string) string { return id[:min(12, len(id))] }

// object names a sandbox or container for errors: "pod default/web", "container default/web/main".
func (en *entry) object() string {
	switch en.role {
	case roleSandbox:
		return "pod " + en.pod.Manifest.Namespace + "/" + en.pod.Manifest.Name
	case roleContainer:
		return "container " + en.owner.Namespace + "/" + en.owner.Name + "/" + en.container.Name
	}
	return "container " + en.name
}
