package manifests

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Endpoints are what EndpointSlices have taken the place of. Manifests have them still, and upstream serves them.
//
//lint:ignore SA1019 to read them is no mistake
type Endpoints = corev1.Endpoints

// The controllers of a cluster that make EndpointSlices: what somebody else writes under their name they remove.
const (
	sliceController     = "endpointslice-controller.k8s.io"
	mirroringController = "endpointslicemirroring-controller.k8s.io"
)

// IsMirrored tells whether Endpoints of the commit are endpoints of the Service of their name. Upstream: endpointslicemirroring
// (pkg/controller/endpointslicemirroring, utils.go, skipMirror, and endpointslicemirroring_controller.go, syncEndpoints), and, for
// a Service with a selector, the endpoints controller, which writes its own over them.
func IsMirrored(e *Endpoints, service *corev1.Service) bool {
	return e.Labels[discoveryv1.LabelSkipMirror] != "true" && len(service.Spec.Selector) == 0 && service.Spec.Type != corev1.ServiceTypeExternalName
}

// IsCustom tells whether an EndpointSlice is none that a controller of a cluster would have made, and would make anew.
func IsCustom(s *discoveryv1.EndpointSlice) bool {
	by := s.Labels[discoveryv1.LabelManagedBy]
	return by != sliceController && by != mirroringController
}
