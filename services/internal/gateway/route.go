package gateway

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// route is one HTTP binding of one method.
type route struct {
	verb string
	// pattern is written as runtime.Pattern writes it: "/v1/jobs/{job_id=*}".
	pattern string
	// method is the full gRPC name.
	method  string
	input   protoreflect.MessageType
	hasBody bool
	// maxBody bounds the body, in bytes.
	maxBody int64
	// takesJSON: the input has texts of JSON in it.
	takesJSON bool
	// streams: the call lasts as long as its events do.
	streams bool
	// pathFields are the fields that the path gives.
	pathFields []string
	// paths matches the paths of this route.
	paths *regexp.Regexp
}

func (r *route) key() string { return r.verb + " " + r.pattern }

// routesOf reads the google.api.http annotations of a service.
func routesOf(service protoreflect.ServiceDescriptor) ([]*route, error) {
	var routes []*route
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
		if rule == nil {
			continue
		}
		r, err := newRoute(method, rule)
		if err != nil {
			return nil, fmt.Errorf("HTTP rule of %s: %w", method.FullName(), err)
		}
		routes = append(routes, r)
	}
	return routes, nil
}

func newRoute(method protoreflect.MethodDescriptor, rule *annotations.HttpRule) (*route, error) {
	verb, template := binding(rule)
	switch {
	case verb == "":
		return nil, fmt.Errorf("only get, put, post, delete and patch are supported")
	case rule.GetBody() != "" && rule.GetBody() != "*":
		return nil, fmt.Errorf("body %q: only the whole message is supported", rule.GetBody())
	case len(rule.GetAdditionalBindings()) > 0:
		return nil, fmt.Errorf("additional bindings are not supported")
	}
	input, err := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
	if err != nil {
		return nil, err
	}
	r := &route{
		verb:    verb,
		pattern: variable.ReplaceAllString(template, "{$1=*}"),
		method:  fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name()),
		input:   input,
		hasBody: rule.GetBody() == "*",

		takesJSON: takesJSON(method.Input(), maxNesting),
	}
	for _, match := range anyVariable.FindAllStringSubmatch(template, -1) {
		r.pathFields = append(r.pathFields, match[1])
	}
	r.paths, err = pathExpression(r.pattern)
	return r, err
}

var (
	variable    = regexp.MustCompile(`\{([a-z0-9_]+)\}`)
	anyVariable = regexp.MustCompile(`\{([a-z0-9_]+)(?:=[^}]*)?\}`)
)

func binding(rule *annotations.HttpRule) (verb, template string) {
	switch pattern := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return http.MethodGet, pattern.Get
	case *annotations.HttpRule_Put:
		return http.MethodPut, pattern.Put
	case *annotations.HttpRule_Post:
		return http.MethodPost, pattern.Post
	case *annotations.HttpRule_Delete:
		return http.MethodDelete, pattern.Delete
	case *annotations.HttpRule_Patch:
		return http.MethodPatch, pattern.Patch
	default:
		return "", ""
	}
}

// pathExpression turns "/v1/models/{model=**}" into an expression for the paths it matches.
func pathExpression(pattern string) (*regexp.Regexp, error) {
	var out strings.Builder
	out.WriteString("^")
	last := 0
	for _, at := range anyVariable.FindAllStringIndex(pattern, -1) {
		out.WriteString(regexp.QuoteMeta(pattern[last:at[0]]))
		if strings.HasSuffix(pattern[at[0]:at[1]], "=**}") {
			out.WriteString(".+")
		} else {
			out.WriteString("[^/]+")
		}
		last = at[1]
	}
	out.WriteString(regexp.QuoteMeta(pattern[last:]) + "$")
	return regexp.Compile(out.String())
}

// Route is a route for tests and documents.
type Route struct {
	// Verb and Pattern are such as GET and "/v1/jobs/{job_id=*}".
	Verb    string
	Pattern string
	// Method is the full gRPC name.
	Method string
}

// Routes lists all routes by pattern and verb.
func (g *Gateway) Routes() []Route {
	var all []Route
	for _, r := range g.routes {
		all = append(all, Route{r.verb, r.pattern, r.method})
	}
	slices.SortFunc(all, func(a, b Route) int { return strings.Compare(a.Pattern+a.Verb, b.Pattern+b.Verb) })
	return all
}

// allowed lists the verbs that the path has routes for.
func (g *Gateway) allowed(path string) []string {
	var verbs []string
	for _, r := range g.routes {
		if r.paths.MatchString(path) && !slices.Contains(verbs, r.verb) {
			verbs = append(verbs, r.verb)
		}
	}
	slices.Sort(verbs)
	return verbs
}
