package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/podyard/podyard/ingress"
	"github.com/podyard/podyard/manifests"
)

// TestTheAnnotationsOfIngressesAreThoseOfTheProxy: what validation accepts is what is served, name by name.
func TestTheAnnotationsOfIngressesAreThoseOfTheProxy(t *testing.T) {
	page := manifests.SupportMarkdown()
	const nginx = "nginx.ingress.kubernetes.io/"
	served := 0
	for _, name := range ingress.Annotations() {
		if strings.HasPrefix(name, nginx) {
			served++
		} else if strings.HasPrefix(name, "podyard.dev/") && name != manifests.ACMEAnnotation {
			continue // each is another's, under our own prefix
		}
		if !bytes.Contains(page, []byte("| `"+name+"` |")) {
			t.Errorf("the proxy honours %s, and validation does not know it", name)
		}
	}
	if listed := bytes.Count(page, []byte("| `"+nginx)); listed != served {
		t.Errorf("validation accepts %d annotations of ingress-nginx, and the proxy honours %d", listed, served)
	}
}
