package fake

import (
	"context"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/runtime"
)

// RouteChange is one Route call that took effect.
type RouteChange struct {
	Time   time.Time
	Routes runtime.Routes
}

// RouteHistory returns every Routes that was ever in force, oldest first, as it was given.
func (e *Engine) RouteHistory() []RouteChange {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.history)
}

// Route implements runtime.Router.
func (e *Engine) Route(ctx context.Context, routes runtime.Routes) error {
	held := copyRoutes(routes)
	return e.do(ctx, "Route", "", func() error {
		if !e.ensured {
			return errNotEnsured
		}
		e.routes = served(held)
		e.history = append(e.history, RouteChange{now(), held})
		e.touch()
		return nil
	})
}

// served is what State tells of routes: a data plane remembers what it needs to serve them, and nothing else.
func served(r runtime.Routes) runtime.Routes {
	out := copyRoutes(r)
	out.Certificates = nil
	for _, s := range out.Services {
		s.ObjectMeta = metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name}
		s.Spec.IPFamilies, s.Spec.IPFamilyPolicy = nil, nil
	}
	return out
}

func copyRoutes(r runtime.Routes) runtime.Routes {
	var out runtime.Routes
	for _, s := range r.Services {
		out.Services = append(out.Services, s.DeepCopy())
	}
	for _, s := range r.Endpoints {
		out.Endpoints = append(out.Endpoints, s.DeepCopy())
	}
	for _, i := range r.Ingresses {
		out.Ingresses = append(out.Ingresses, i.DeepCopy())
	}
	out.Certificates = maps.Clone(r.Certificates)
	return out
}
