package plan

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/podyard/podyard/runtime"
)

// PublishPorts opens ports of the host, in place of those that are open under the same name.
type PublishPorts struct {
	runtime.Publication
	Reason string
}

// UnpublishPorts closes the ports of a publication.
type UnpublishPorts struct {
	// Namespace and Name of the Service, or of the Ingress publication.
	Namespace, Name string
	Reason          string
}

// Key implements Action: what is published under one name is changed in one place.
func (a PublishPorts) Key() string { return publicationKey(a.Namespace, a.Name) }

// Key implements Action.
func (a UnpublishPorts) Key() string { return publicationKey(a.Namespace, a.Name) }

func (a PublishPorts) String() string {
	return fmt.Sprintf("publish %s at %s", PublicationName(a.Namespace, a.Name), publishedPorts(a.Ports))
}

func (a UnpublishPorts) String() string { return "unpublish " + PublicationName(a.Namespace, a.Name) }

// Why implements Action.
func (a PublishPorts) Why() string { return a.Reason }

// Why implements Action.
func (a UnpublishPorts) Why() string { return a.Reason }

func (PublishPorts) isAction()   {}
func (UnpublishPorts) isAction() {}

func publicationKey(namespace, name string) string { return "publication/" + namespace + "/" + name }

// PublicationName is whose ports are published, as "Service default/web"; it is what runtime.State.Problems has them under.
func PublicationName(namespace, name string) string {
	if namespace == "" {
		return cmp.Or(map[string]string{runtime.IngressPublication: "Ingresses"}[name], name)
	}
	return "Service " + namespace + "/" + name
}

// publishedPorts is "0.0.0.0:30080 → 80/TCP, 0.0.0.0:30443 → 443/TCP".
func publishedPorts(ports []runtime.PublishedPort) string {
	words := make([]string, len(ports))
	for i, p := range ports {
		words[i] = fmt.Sprintf("0.0.0.0:%d → %d/%s", p.HostPort, p.Port, p.Protocol)
	}
	return strings.Join(words, ", ")
}
