package manifests

import (
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podSecurity follows upstream's validatePodSpecSecurityContext.
func (p podCheck) podSecurity(path *field.Path) {
	s := p.spec.SecurityContext
	if s == nil {
		return
	}
	p.identity(path, s.RunAsUser, s.RunAsGroup)
	for i, group := range s.SupplementalGroups {
		p.all(path.Child("supplementalGroups").Index(i), validation.IsValidGroupID(group))
	}
	if s.FSGroup != nil {
		p.all(path.Child("fsGroup"), validation.IsValidGroupID(*s.FSGroup))
	}
	if s.FSGroupChangePolicy != nil {
		oneOf(p.check, path.Child("fsGroupChangePolicy"), *s.FSGroupChangePolicy, corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)
	}
	p.seccomp(path.Child("seccompProfile"), s.SeccompProfile)
	p.appArmor(path.Child("appArmorProfile"), s.AppArmorProfile)
	p.sysctls(path.Child("sysctls"), s.Sysctls)
}

// sysctlName is upstream's SysctlContainSlashFmt.
var sysctlName = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9][-_a-z0-9]*[a-z0-9]?$`)

const maxSysctlName = 253

// sysctls follows upstream's validateSysctls. Upstream warns where a pod would change those of the host; here the engine
// could not start it.
func (p podCheck) sysctls(path *field.Path, sysctls []corev1.Sysctl) {
	twice := p.unique("sysctl")
	for i, s := range sysctls {
		at, name := path.Index(i).Child("name"), strings.ReplaceAll(s.Name, "/", ".")
		if len(name) > maxSysctlName || !sysctlName.MatchString(s.Name) {
			p.add(at, "must be the name of a sysctl, as net.core.somaxconn")
		}
		twice(at, name)
		switch {
		case p.spec.HostNetwork && strings.HasPrefix(name, "net."):
			p.add(at, "must not be set when hostNetwork is true: it would be the host's")
		case p.spec.HostIPC && ofIPC(name):
			p.add(at, "must not be set when hostIPC is true: it would be the host's")
		}
	}
}

// ofIPC tells the sysctls of the IPC namespace. Upstream: pkg/kubelet/sysctl/namespace.go.
func ofIPC(name string) bool {
	return slices.ContainsFunc([]string{"kernel.sem", "kernel.shm", "kernel.msg", "fs.mqueue."}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

func (c check) identity(path *field.Path, user, group *int64) {
	if user != nil {
		c.all(path.Child("runAsUser"), validation.IsValidUserID(*user))
	}
	if group != nil {
		c.all(path.Child("runAsGroup"), validation.IsValidGroupID(*group))
	}
}

// security is about one container; it also refuses what contradicts itself. Upstream: ValidateSecurityContext, which lets
// procMount be Unmasked only in a user namespace of its own, which no pod can have here.
func (c check) security(path *field.Path, s *corev1.SecurityContext) {
	if s == nil {
		return
	}
	c.identity(path, s.RunAsUser, s.RunAsGroup)
	c.seccomp(path.Child("seccompProfile"), s.SeccompProfile)
	c.appArmor(path.Child("appArmorProfile"), s.AppArmorProfile)
	if s.ProcMount != nil {
		oneOf(c, path.Child("procMount"), *s.ProcMount, corev1.DefaultProcMount, corev1.UnmaskedProcMount)
	}
	if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
		return
	}
	if isTrue(s.Privileged) {
		c.add(path.Child("allowPrivilegeEscalation"), "must not be false when privileged is true")
	}
	if s.Capabilities != nil && (slices.Contains(s.Capabilities.Add, "CAP_SYS_ADMIN") || slices.Contains(s.Capabilities.Add, "SYS_ADMIN")) {
		c.add(path.Child("allowPrivilegeEscalation"), "must not be false when the capability SYS_ADMIN is added")
	}
}

// seccomp follows upstream's validateSeccompProfileField.
func (c check) seccomp(path *field.Path, profile *corev1.SeccompProfile) {
	if profile == nil {
		return
	}
	c.profileType(path, string(profile.Type), profile.LocalhostProfile)
	if profile.LocalhostProfile != nil {
		c.relative(path.Child("localhostProfile"), *profile.LocalhostProfile)
	}
}

// maxProfile is upstream's limit for the name of an AppArmor profile.
const maxProfile = 4095

// appArmor follows upstream's ValidateAppArmorProfileField.
func (c check) appArmor(path *field.Path, profile *corev1.AppArmorProfile) {
	if profile == nil {
		return
	}
	c.profileType(path, string(profile.Type), profile.LocalhostProfile)
	if name := profile.LocalhostProfile; name != nil {
		if *name != strings.TrimSpace(*name) {
			c.add(path.Child("localhostProfile"), "must not begin or end with white space")
		}
		if len(*name) > maxProfile {
			c.add(path.Child("localhostProfile"), "must be no more than %d characters", maxProfile)
		}
	}
}

// profileType is the same for both kinds of profile.
func (c check) profileType(path *field.Path, kind string, localhost *string) {
	if kind == "" {
		c.add(path.Child("type"), "is missing")
	}
	oneOf(c, path.Child("type"), kind, "RuntimeDefault", "Unconfined", "Localhost")
	switch {
	case kind == "Localhost" && (localhost == nil || strings.TrimSpace(*localhost) == ""):
		c.add(path.Child("localhostProfile"), "is missing: the type is Localhost")
	case kind != "Localhost" && localhost != nil:
		c.add(path.Child("localhostProfile"), "must not be set unless the type is Localhost")
	}
}
