package api

import (
	"net/url"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/artifacts"
)

type object = map[string]any

// TestPromotion deploys, and says who did it and why.
func TestPromotion(t *testing.T) {
	h := build(t)
	d := h.good(service, "1.0.2", sha, "")
	order := object{"component": service, "version": "v1.0.2", "to": "cloud.staging", "expect": "", "reason": "first"}
	r := h.post("maintainer", "/api/v1/promotions", order).want(t, 201)
	m := into[artifacts.Move](t, r)
	if m.Kind != artifacts.Promotion || m.Component != service || m.Tag() != "cloud.staging" || m.To != "1.0.2" || m.From != "" || m.Digest != d ||
		m.By != "user:maintainer" || m.Reason != "first" || r.Header.Get("Location") != "/api/v1/promotions/"+m.ID {
		t.Errorf("%+v, %v", m, r.Header)
	}
	order["expect"] = "1.0.2"
	same := h.post("maintainer", "/api/v1/promotions", order).want(t, 200)
	if again := into[artifacts.Move](t, same); again.ID != m.ID || same.Header.Get("Location") != r.Header.Get("Location") {
		t.Errorf("what is so already is answered with %+v, %v; want the promotion that made it so", again, same.Header)
	}
	if again := into[artifacts.Move](t, h.get("reader", r.Header.Get("Location")).want(t, 200)); again.ID != m.ID || again.To != "1.0.2" {
		t.Errorf("%+v", again)
	}
	h.get("stranger", r.Header.Get("Location")).problem(t, 404, "/api/v1/promotions")
	h.get("root", "/api/v1/promotions/nothing").problem(t, 404, "/api/v1/promotions")

	h.good(service, "1.1.0", "", "")
	order = object{"component": service, "version": "1.1.0", "to": "cloud.staging"}
	h.post("maintainer", "/api/v1/promotions", order).want(t, 201).says(t, `"from":"1.0.2"`)
	h.post("maintainer", "/api/v1/rollbacks", object{"component": service, "at": "cloud.staging"}).want(t, 201).says(t, `"to":"1.0.2"`, `"kind":"rollback"`)
	h.post("maintainer", "/api/v1/withdrawals", object{"component": service, "at": "cloud.staging", "expect": "1.0.2"}).want(t, 201).says(t, `"kind":"withdraw"`, `!"to"`)

	all := into[page[artifacts.Move]](t, h.get("reader", "/api/v1/promotions").want(t, 200))
	if len(all.Items) != 4 || all.Items[0].Kind != artifacts.Withdrawal || all.Items[3].ID != m.ID {
		t.Errorf("%+v", all)
	}
	part := into[page[artifacts.Move]](t, h.get("reader", "/api/v1/components/"+service+"/history?limit=3").want(t, 200))
	rest := into[page[artifacts.Move]](t, h.get("reader", "/api/v1/components/"+service+"/history?limit=3&after="+part.Next).want(t, 200))
	if len(part.Items) != 3 || len(rest.Items) != 1 || rest.Items[0].ID != m.ID || rest.Next != "" {
		t.Errorf("%+v, then %+v", part, rest)
	}
	when := url.QueryEscape(m.When.Format("2006-01-02T15:04:05.999999Z07:00"))
	for query, n := range map[string]int{
		"place=cloud.staging": 4, "place=cloud.prod": 0, "by=user:maintainer": 4, "by=user:lead": 0, "component=" + service: 4, "component=" + other: 0,
		"since=2001-01-01": 4, "until=2001-01-01": 0, "until=" + when: 1, "since=" + when: 4, "limit=2": 2,
	} {
		if all := into[page[artifacts.Move]](t, h.get("root", "/api/v1/promotions?"+query).want(t, 200)); len(all.Items) != n {
			t.Errorf("%s: %d moves, want %d", query, len(all.Items), n)
		}
	}
	h.get("stranger", "/api/v1/promotions").want(t, 200).says(t, `{"items":[]}`)
}

// TestPromotion_takes_rights: on the component, more of them for the last environment, and to govern if it is forced.
func TestPromotion_takes_rights(t *testing.T) {
	h := build(t)
	h.good(service, "1.0.2", "", "")
	h.good(other, "1.0.0", "", "")
	order := func(place string) object { return object{"component": service, "version": "1.0.2", "to": place} }
	h.post("", "/api/v1/promotions", order("cloud.staging")).problem(t, 401)
	h.post("dev", "/api/v1/promotions", order("cloud.staging")).problem(t, 403, "promote")
	h.post("maintainer", "/api/v1/promotions", order("cloud.prod")).problem(t, 403, "promote-last")
	h.post("stranger", "/api/v1/promotions", order("cloud.staging")).problem(t, 404)
	h.post("maintainer", "/api/v1/promotions", object{"component": other, "version": "1.0.0", "to": "cloud.staging"}).problem(t, 404)
	h.post("maintainer", "/api/v1/promotions", order("cloud.staging")).want(t, 201)
	h.post("lead", "/api/v1/promotions", order("cloud.prod")).want(t, 201)
	for _, path := range []string{"rollbacks", "withdrawals"} {
		h.post("maintainer", "/api/v1/"+path, object{"component": service, "at": "cloud.prod"}).problem(t, 403, "promote-last")
	}
}

// TestPromotion_force breaks what others depend on, for those who govern.
func TestPromotion_force(t *testing.T) {
	h := build(t)
	h.good("cloud/dmp/utils", "1.0.0", "", "")
	h.good(service, "1.0.2", "", "dependencies: [\"utils >=1.0.0\"]\n")
	h.promote("cloud/dmp/utils", "1.0.0", "cloud.staging")
	h.promote(service, "1.0.2", "cloud.staging")
	order := object{"component": "cloud/dmp/utils", "at": "cloud.staging"}
	h.post("maintainer", "/api/v1/withdrawals", order).problem(t, 422, service)
	order["force"] = true
	r := h.post("maintainer", "/api/v1/withdrawals", order).want(t, 201).says(t, `"forced":true`, service+" 1.0.2 is deployed in cloud.staging", `!"names"`)

	// The history tells what was let pass, and names what the reader may see anyway.
	path := r.Header.Get("Location")
	for _, where := range []string{path, "/api/v1/promotions?component=cloud/dmp/utils", "/api/v1/components/cloud/dmp/utils/history"} {
		h.get("maintainer", where).want(t, 200).says(t, service+" 1.0.2 is deployed in cloud.staging", `!"names"`)
		h.get("narrow", where).want(t, 200).says(t, `"forced":true`, "something was amiss with a component that you may not see", "!ms-ingestion", `!"names"`)
	}
}

// TestPromotion_refused tells all reasons at once.
func TestPromotion_refused(t *testing.T) {
	h := build(t)
	h.good(service, "1.0.2", "", "dependencies: [\"nothing >=1.0.0\"]\n")
	r := h.post("root", "/api/v1/promotions", object{"component": service, "version": "1.0.2", "to": "ran.dev"}).problem(t, 422, "domains cloud", "environments staging, prod", "nothing >=1.0.0")
	r.says(t, `"rule":"promotion.domain"`, `"rule":"promotion.environment"`, `"rule":"promotion.dependency"`, `"reasons"`, `"fix"`)
	h.post("root", "/api/v1/promotions", object{"component": service, "version": "9.9.9", "to": "cloud.staging"}).problem(t, 404, "9.9.9")
	h.post("root", "/api/v1/promotions", object{"component": service, "version": "1.0.2", "to": "cloud.staging", "expect": "0.9.0"}).problem(t, 409, "0.9.0")
	h.post("root", "/api/v1/rollbacks", object{"component": service, "at": "cloud.staging"}).problem(t, 404, "promote")
	for body, words := range map[string]string{
		`{"component":"cloud/dmp","version":"1.0.2","to":"cloud.prod"}`:                         "three parts",
		`{"component":"` + service + `","version":"1.0.2","to":"prod"}`:                         "cloud.prod",
		`{"component":"` + service + `","version":"x","to":"cloud.prod"}`:                       "1.0.2",
		`{"component":"` + service + `","version":"1.0.2","to":"cloud.prod","exepct":"1.0.0"}`:  "exepct",
		`{"component":"` + service + `","version":"1.0.2","to":"cloud.prod"}{}`:                 "more than one",
		`{"component":"` + service + `","version":"1.0.2","to":"cloud.prod","reason":"a\nb"}`:   "reason",
		`{"component":"` + service + `","version":"1.0.2","at":"cloud.prod"}`:                   "as to",
		`{"component":"` + service + `","version":"1.0.2","to":"cloud.prod","at":"cloud.prod"}`: "as to",
		`[]`: "form",
		``:   "form",
	} {
		h.do("root", "POST", "/api/v1/promotions", body, "Content-Type", "application/json").problem(t, 400, words)
	}
	h.post("root", "/api/v1/rollbacks", object{"component": service, "to": "cloud.prod"}).problem(t, 400, "as at")
	h.post("root", "/api/v1/withdrawals", object{"component": service, "at": "cloud.staging", "version": "1.0.2"}).problem(t, 400, "no version")
	h.do("root", "POST", "/api/v1/promotions", "{}").problem(t, 400, "Content-Type: application/json")
	h.do("root", "POST", "/api/v1/promotions", "{}", "Content-Type", "text/plain").problem(t, 400, "Content-Type: application/json")
	h.do("root", "POST", "/api/v1/promotions", `{"reason":"`+strings.Repeat("x", maxRequest)+`"}`, "Content-Type", "application/json").problem(t, 413)
}

// TestPlaces tell what is deployed, and what was, to those who may see any of it.
func TestPlaces(t *testing.T) {
	h := build(t)
	h.good(service, "1.0.2", "", "")
	h.good(service, "1.1.0", "", "")
	h.good(other, "2.0.0", "", "")
	first := h.promote(service, "1.0.2", "cloud.prod")
	h.promote(other, "2.0.0", "cloud.prod")
	h.promote(service, "1.1.0", "cloud.prod")
	h.promote(other, "2.0.0", "cloud.staging")
	h.get("root", "/api/v1/places").want(t, 200).says(t, `"place":"cloud.prod","suite":"cloud-prod","index":"/index/domain-cloud-prod.yaml","last":true`, "cloud.staging")
	h.get("reader", "/api/v1/places").want(t, 200).says(t, "cloud.prod", "!cloud.staging")
	h.get("stranger", "/api/v1/places").want(t, 200).says(t, `{"items":[]}`)

	h.get("root", "/api/v1/places/cloud.prod").want(t, 200).says(t, service, other, `"version":"1.1.0"`)
	h.get("reader", "/api/v1/places/cloud.prod").want(t, 200).says(t, service, "!"+other)
	h.get("reader", "/api/v1/places/cloud.staging").problem(t, 404, "/api/v1/places")
	h.get("root", "/api/v1/places/cloud.nowhere").problem(t, 404, "/api/v1/places")
	h.get("root", "/api/v1/places/cloud").problem(t, 404, "cloud.prod")
	part := into[page[artifacts.Deployed]](t, h.get("root", "/api/v1/places/cloud.prod?limit=1").want(t, 200))
	rest := into[page[artifacts.Deployed]](t, h.get("root", "/api/v1/places/cloud.prod?limit=1&after="+part.Next).want(t, 200))
	if len(part.Items) != 1 || part.Items[0].Component != service || len(rest.Items) != 1 || rest.Items[0].Component != other || rest.Next != "" {
		t.Errorf("%+v, then %+v", part, rest)
	}

	m := into[artifacts.Move](t, h.get("root", "/api/v1/promotions/"+first))
	then := "?at=" + url.QueryEscape(m.When.Format("2006-01-02T15:04:05.999999Z07:00"))
	h.get("root", "/api/v1/places/cloud.prod"+then).want(t, 200).says(t, `"version":"1.0.2"`, first, "!"+other)
	h.get("root", "/api/v1/components/"+service+"/deployed"+then).want(t, 200).says(t, `"version":"1.0.2"`)
	h.get("root", "/api/v1/components/"+service+"/deployed").want(t, 200).says(t, `"version":"1.1.0"`)
	h.get("root", "/api/v1/components/"+service+"/deployed?at=2001-01-01").want(t, 200).says(t, `{"items":[]}`)
	h.get("root", "/api/v1/components"+then).want(t, 200).says(t, `"deployed":{"cloud.prod":"1.0.2"}`)

	// What was withdrawn was there.
	h.post("root", "/api/v1/withdrawals", object{"component": other, "at": "cloud.staging"}).want(t, 201)
	h.get("root", "/api/v1/places/cloud.staging").want(t, 200).says(t, `{"items":[]}`)
	h.get("root", "/index/domain-cloud-staging.json").want(t, 200).says(t, `{"components":[]}`)
}

// TestIndex is what deployments read.
func TestIndex(t *testing.T) {
	h := build(t)
	h.good(service, "1.0.2", "", "")
	h.good(other, "2.0.0", "", "")
	h.promote(service, "1.0.2", "cloud.prod")
	h.promote(other, "2.0.0", "cloud.staging")
	r := h.get("root", "/index/components.yaml").want(t, 200)
	if want := "components:\n  - name: " + service + "\n    latest_version: 1.0.2\n  - name: " + other + "\n    latest_version: 2.0.0\n"; string(r.body) != want || r.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%s of type %s, want %s", r.body, r.Header.Get("Content-Type"), want)
	}
	h.get("reader", "/index/components.yaml").want(t, 200).says(t, service, "!"+other)
	h.get("deployer", "/index/components.yaml").want(t, 200).says(t, service, other)
	h.get("deployer", "/index/components.json").want(t, 200).says(t, `{"components":[{"name":"`+service+`","latest_version":"1.0.2"}`)
	h.get("root", "/index/components.json?at=2001-01-01").want(t, 200).says(t, `{"components":[]}`)
	h.get("", "/index/components.yaml").problem(t, 401)

	for _, path := range []string{"/index/domain-cloud.yaml", "/index/domain-cloud-prod.yaml"} {
		for _, who := range []string{"root", "deployer", "reader"} {
			if r := h.get(who, path).want(t, 200); string(r.body) != "components:\n  - name: "+service+"\n    version: 1.0.2\n" {
				t.Errorf("%s of %s: %s", path, who, r.body)
			}
		}
	}
	h.get("deployer", "/index/domain-cloud-staging.json").want(t, 200).says(t, `{"components":[{"name":"`+other+`","version":"2.0.0"}]}`)
	h.get("deployer", "/index/domain-cloud-staging.json?at=2001-01-01").want(t, 200).says(t, `{"components":[]}`)
	for _, path := range []string{"/index/domain-ran.yaml", "/index/domain-cloud-dev.yaml", "/index/domain-Cloud.yaml", "/index/domain-" + strings.Repeat("a-", 500) + ".yaml"} {
		h.get("root", path).problem(t, 404, "/api/v1/places")
	}
	h.get("reader", "/index/domain-cloud-staging.yaml").problem(t, 404)
	h.get("stranger", "/index/domain-cloud.yaml").problem(t, 404)
}

// TestIndex_names_with_dashes may mean several places.
func TestIndex_names_with_dashes(t *testing.T) {
	h := build(t)
	repo := "edge-eu/dmp/agent"
	h.good(repo, "1.0.0", "", "")
	ask := func(status int, words ...string) {
		t.Helper()
		h.get("root", "/index/domain-edge-eu-west.yaml").want(t, status).says(t, words...)
	}
	allow := "architecture: amd64\ndomains: [edge-eu-west, edge-eu, edge]\nenvironments: [prod, west, eu-west]\ngroup: dmp\nservice_name: agent\nteam: a\n"
	for _, number := range []string{"1.0.1", "1.0.2", "1.0.3"} {
		d := h.image(repo, number, "")
		h.do("root", "PUT", "/api/v1/components/"+repo+"/versions/"+number+"/docker/manifest.yaml", manifestYAML(number, d)).want(t, 201)
		h.do("root", "PUT", "/api/v1/components/"+repo+"/versions/"+number+"/metadata.yaml", allow).want(t, 201)
	}
	ask(404)
	h.promote(repo, "1.0.1", "edge-eu-west.prod")
	ask(200, "1.0.1")
	h.promote(repo, "1.0.2", "edge-eu.west")
	ask(200, "1.0.2", "!1.0.1")
	h.promote(repo, "1.0.3", "edge.eu-west")
	ask(409, "/api/v1/places/edge.eu-west or /api/v1/places/edge-eu.west")
}
