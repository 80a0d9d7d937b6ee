package docker

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// effectiveSecurity merges the pod's security context under the container's, as upstream's
// DetermineEffectiveSecurityContext (pkg/securitycontext/util.go). It is never nil and the caller's own.
func effectiveSecurity(pod *corev1.PodSecurityContext, own *corev1.SecurityContext) *corev1.SecurityContext {
	out := &corev1.SecurityContext{}
	if own != nil {
		out = own.DeepCopy()
	}
	if pod == nil {
		return out
	}
	out.RunAsUser = first(out.RunAsUser, pod.RunAsUser)
	out.RunAsGroup = first(out.RunAsGroup, pod.RunAsGroup)
	out.RunAsNonRoot = first(out.RunAsNonRoot, pod.RunAsNonRoot)
	out.SELinuxOptions = first(out.SELinuxOptions, pod.SELinuxOptions)
	out.SeccompProfile = first(out.SeccompProfile, pod.SeccompProfile)
	out.AppArmorProfile = first(out.AppArmorProfile, pod.AppArmorProfile)
	return out
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func isTrue(b *bool) bool { return b != nil && *b }

// verifyNonRoot is upstream's verifyRunAsNonRoot (pkg/kubelet/kuberuntime/security_context.go), with its words.
func verifyNonRoot(pod *corev1.Pod, name string, security *corev1.SecurityContext, imageUser string) error {
	if !isTrue(security.RunAsNonRoot) {
		return nil
	}
	where := fmt.Sprintf("(pod: %q, container: %s): %%w", fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID), name)
	if security.RunAsUser != nil {
		if *security.RunAsUser == 0 {
			return fmt.Errorf("container's runAsUser breaks non-root policy "+where, runtime.ErrInvalid)
		}
		return nil
	}
	user, _, _ := strings.Cut(imageUser, ":")
	uid, err := strconv.ParseInt(user, 10, 64)
	switch {
	case user == "", err == nil && uid == 0:
		return fmt.Errorf("container has runAsNonRoot and image will run as root "+where, runtime.ErrInvalid)
	case err != nil:
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root "+where, user, runtime.ErrInvalid)
	}
	return nil
}

// needsImageUser tells whether the image's USER matters, which costs a look at the image.
func needsImageUser(security *corev1.SecurityContext) bool {
	return security.RunAsUser == nil && (isTrue(security.RunAsNonRoot) || security.RunAsGroup != nil)
}

// userOf is Docker's user[:group]; empty leaves the image's. A group without a user goes with the image's user.
func userOf(security *corev1.SecurityContext, imageUser string) string {
	user := ""
	if security.RunAsUser != nil {
		user = strconv.FormatInt(*security.RunAsUser, 10)
	}
	if security.RunAsGroup == nil {
		return user
	}
	if user == "" {
		user, _, _ = strings.Cut(imageUser, ":")
	}
	if user == "" {
		user = "0"
	}
	return user + ":" + strconv.FormatInt(*security.RunAsGroup, 10)
}

// groupsOf are the supplemental groups; fsGroup is one of them, as upstream's
// convertToRuntimeSecurityContext has it.
func groupsOf(pod *corev1.PodSecurityContext) []string {
	if pod == nil {
		return nil
	}
	var out []string
	if pod.FSGroup != nil {
		out = append(out, strconv.FormatInt(*pod.FSGroup, 10))
	}
	for _, g := range pod.SupplementalGroups {
		out = append(out, strconv.FormatInt(g, 10))
	}
	return out
}

// secure applies a security context to a container's host configuration. profile is a seccomp profile of type Localhost.
func secure(host *container.HostConfig, security *corev1.SecurityContext, profile string) {
	host.Privileged = isTrue(security.Privileged)
	host.ReadonlyRootfs = isTrue(security.ReadOnlyRootFilesystem)
	if c := security.Capabilities; c != nil {
		for _, name := range c.Add {
			host.CapAdd = append(host.CapAdd, string(name))
		}
		for _, name := range c.Drop {
			host.CapDrop = append(host.CapDrop, string(name))
		}
	}
	if e := security.AllowPrivilegeEscalation; e != nil && !*e {
		host.SecurityOpt = append(host.SecurityOpt, "no-new-privileges")
	}
	if p := security.ProcMount; p != nil && *p == corev1.UnmaskedProcMount {
		host.MaskedPaths, host.ReadonlyPaths = []string{}, []string{}
	}
	host.SecurityOpt = append(host.SecurityOpt, selinux(security.SELinuxOptions)...)
	seccomp(host, security.SeccompProfile, profile)
	appArmor(host, security.AppArmorProfile)
}

func selinux(o *corev1.SELinuxOptions) []string {
	if o == nil {
		return nil
	}
	var out []string
	for _, part := range [][2]string{{"user", o.User}, {"role", o.Role}, {"type", o.Type}, {"level", o.Level}} {
		if part[1] != "" {
			out = append(out, "label="+part[0]+":"+part[1])
		}
	}
	return out
}

// seccomp: the engine's default stands for RuntimeDefault and, as with the kubelet's SeccompDefault, for none. A profile
// on the node's disk is sent: the engine may be elsewhere.
func seccomp(host *container.HostConfig, p *corev1.SeccompProfile, profile string) {
	switch {
	case p == nil:
	case p.Type == corev1.SeccompProfileTypeUnconfined:
		host.SecurityOpt = append(host.SecurityOpt, "seccomp=unconfined")
	case p.Type == corev1.SeccompProfileTypeLocalhost:
		host.SecurityOpt = append(host.SecurityOpt, "seccomp="+profile)
	}
}

func appArmor(host *container.HostConfig, p *corev1.AppArmorProfile) {
	switch {
	case p == nil:
	case p.Type == corev1.AppArmorProfileTypeUnconfined:
		host.SecurityOpt = append(host.SecurityOpt, "apparmor=unconfined")
	case p.Type == corev1.AppArmorProfileTypeLocalhost && p.LocalhostProfile != nil:
		host.SecurityOpt = append(host.SecurityOpt, "apparmor="+*p.LocalhostProfile)
	}
}
