package docker

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// entry is what is remembered of one container of ours. It is replaced as a whole and never changed.
type entry struct {
	id, name, role string
	// image is the reference it was created with, network its network mode.
	image, network string
	running        bool
	started        time.Time
	tty            bool
	oomScore       int

	// Of a sandbox: the pod, its address, its volumes with where the engine has them on its host, the volume of
	// termination messages, the ports it publishes on the host, and its OCI runtime.
	pod      *runtime.Pod
	volumes  map[string]sandboxVolume
	messages messagesVolume
	ports    []corev1.ContainerPort
	runtime  string
	// setsUp: its process sets up volumes, and tells when it has.
	setsUp bool

	// Of a publication; it has ports, too.
	publication *publication
	// Of the holder of the proxy for Ingresses; it has ports, too.
	ingress *runtime.Published

	// Of a container: the attempt, whose it is, which parts of volumes it mounts, and where its termination message is.
	container *runtime.Container
	sandbox   string
	owner     *corev1.Pod
	subPaths  []string
	message   messagePlace
}

// sandboxVolume is a volume of a pod without its content; Source is its place on the engine's host.
type sandboxVolume struct {
	runtime.Volume
	Source string
}

// cache holds every container of the instance. Each look at the engine takes a ticket before it asks; an answer is
// dropped when a later ticket has answered already. So what a verb saw after it had acted is never replaced by what an
// event made somebody look up before.
type cache struct {
	mu      sync.Mutex
	entries map[string]*entry
	tickets map[string]uint64
	gone    map[string]time.Time
	// ooms are the containers in which something was killed for want of memory. Docker 20.10 now and then notes the end of a
	// container before it hears of that, and then its answer does not tell.
	ooms map[string]bool
	next uint64
	// live: the event stream stands and a full listing was made since it does.
	live bool
	// service is the ClusterIP slice, once the network is known.
	service string
	extras  extras
}

func (c *cache) ticket() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	return c.next
}

// put remembers an answer; nil means that the container is gone. It returns what is remembered now.
func (c *cache) put(id string, ticket uint64, found *entry) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tickets == nil {
		c.tickets, c.gone = map[string]uint64{}, map[string]time.Time{}
	}
	if _, gone := c.gone[id]; gone || ticket < c.tickets[id] {
		return c.entries[id]
	}
	if found == nil {
		delete(c.entries, id)
		delete(c.tickets, id)
		delete(c.ooms, id)
		c.gone[id] = time.Now()
		return nil
	}
	if found.container != nil && found.container.State == runtime.Exited && c.ooms[id] {
		found.container.OOMKilled = true
	}
	c.entries[id], c.tickets[id] = found, ticket
	return found
}

// noteOOM remembers what an event told; whoever does so looks at the container again.
func (c *cache) noteOOM(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, gone := c.gone[id]; gone {
		return
	}
	if c.ooms == nil {
		c.ooms = map[string]bool{}
	}
	c.ooms[id] = true
}

// forget drops the memory of what is gone so long that no answer about it can still be under way.
func (c *cache) forget(before time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.gone, func(_ string, at time.Time) bool { return at.Before(before) })
}

func (c *cache) get(id string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries[id]
}

func (c *cache) isGone(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, gone := c.gone[id]
	return gone
}

func (c *cache) all() []*entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.entries))
}

// inSandbox returns the containers of one sandbox.
func (c *cache) inSandbox(id string) []*entry {
	return slices.DeleteFunc(c.all(), func(en *entry) bool { return en.sandbox != id || en.role != roleContainer })
}

// addresses returns the addresses that sandboxes have, and the one that was given last.
func (c *cache) addresses() (used map[string]bool, newest netip.Addr) {
	used = map[string]bool{}
	var at time.Time
	for _, en := range c.all() {
		if en.pod == nil || en.pod.IP == "" {
			continue
		}
		used[en.pod.IP] = true
		if address, err := netip.ParseAddr(en.pod.IP); err == nil && en.pod.CreatedAt.After(at) {
			newest, at = address, en.pod.CreatedAt
		}
	}
	return used, newest
}

func (c *cache) isLive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live
}

func (c *cache) setLive(live bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = live
}

func (c *cache) serviceCIDR() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.service
}

func (c *cache) setServiceCIDR(cidr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.service = cidr
}

func (c *cache) engineExtras() extras {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.extras
}

func (c *cache) setExtras(found extras) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.extras = found
}
