package status

import (
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"
)

// clean makes any string harmless to show, as text in a page or on a terminal: control characters become the pictures
// that Unicode has for them, characters that reorder text (Trojan Source, CVE-2021-42574) become their numbers, and
// bytes that are not UTF-8 the replacement character. Line breaks and tabs stay. Escaping for HTML is html/template's.
func clean(s string) string {
	if strings.IndexFunc(s, unshowable) < 0 && utf8.ValidString(s) {
		return s
	}
	var out strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case !unshowable(r):
			out.WriteRune(r)
		case r < 0x20:
			out.WriteRune(0x2400 + r) // U+001B is shown as U+241B
		case r == 0x7f:
			out.WriteRune(0x2421)
		case r < 0xa0:
			out.WriteRune('\uFFFD')
		default:
			fmt.Fprintf(&out, "<U+%04X>", r)
		}
	}
	return out.String()
}

// unshowable reports control characters, and the format characters that change the order or the look of others.
func unshowable(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < 0x20 || r >= 0x7f && r < 0xa0:
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // embeddings, overrides, isolates
		return true
	case r == 0x200e, r == 0x200f, r == 0x061c: // marks
		return true
	case r == 0x200b, r == 0x2028, r == 0x2029, r == 0xfeff: // invisible; separators that are line breaks to some
		return true
	}
	return false
}

// cleaned returns a copy of a view with every string in it clean. It walks the value, so that a field that is added
// later cannot be forgotten.
func cleaned[T any](view T) T {
	return cleanValue(reflect.ValueOf(view)).Interface().(T)
}

func cleanValue(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.String:
		out.SetString(clean(v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(cleanValue(v.Elem()))
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(cleanValue(v.Index(i)))
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMap(v.Type()))
			for _, key := range v.MapKeys() {
				out.SetMapIndex(cleanValue(key), cleanValue(v.MapIndex(key)))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(cleanValue(v.Field(i)))
			}
		}
	}
	return out
}

// oneLine puts what may have line breaks on one line: for cells of a table and headers.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// colours are the escape sequences by which programs colour their logs (ECMA-48 SGR).
var colours = regexp.MustCompile("\x1b\\[[0-9;:]*m")

// cleanLog is clean for the output of a program: its colours are dropped rather than shown, and CRLF is a line break.
func cleanLog(s string) string {
	return clean(strings.ReplaceAll(colours.ReplaceAllString(s, ""), "\r\n", "\n"))
}

// userinfo is what stands before the @ of an address that net/url does not understand.
var userinfo = regexp.MustCompile(`://[^/?#]*@`)

// withoutCredentials drops a user and password from a repository's address, except the user of ssh, which is no secret.
func withoutCredentials(address string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return userinfo.ReplaceAllString(address, "://")
	case u.User == nil:
		return address
	case u.Scheme == "ssh":
		u.User = url.User(u.User.Username())
	default:
		u.User = nil
	}
	return u.String()
}
