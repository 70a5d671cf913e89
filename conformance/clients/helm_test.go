//go:build clients

package clients

import (
	"testing"
)

// A chart is pushed and installed from the registry as `helm install oci://...` would fetch it.
func TestHelm(t *testing.T) {
	r := registry(t)
	s := newSession(t)
	s.env = append(s.env, "HELM_CONFIG_HOME="+s.dir+"/config", "HELM_CACHE_HOME="+s.dir+"/cache", "HELM_DATA_HOME="+s.dir+"/data")
	s.write("demo/values.yaml", "greeting: hello\n")
	s.write("demo/templates/words.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-words\ndata:\n  greeting: {{ .Values.greeting }}\n")
	for _, version := range []string{"0.1.0", "0.2.0"} {
		s.write("demo/Chart.yaml", "apiVersion: v2\nname: demo\ndescription: a chart for a test\nversion: "+version+"\n")
		s.run("helm", "package", "demo")
		s.run("helm", "push", "--plain-http", "demo-"+version+".tgz", "oci://"+r+"/charts")
	}
	contains(t, s.run("helm", "show", "chart", "--plain-http", "--version", "0.1.0", "oci://"+r+"/charts/demo"), "version: 0.1.0", "a chart for a test")
	contains(t, s.run("helm", "template", "mine", "--plain-http", "--version", "0.2.0", "--set", "greeting=servus", "oci://"+r+"/charts/demo"),
		"mine-words", "greeting: servus")
	// Without a version, or with a range, helm reads the tags and takes the newest that fits.
	contains(t, s.run("helm", "show", "chart", "--plain-http", "oci://"+r+"/charts/demo"), "version: 0.2.0")
	contains(t, s.run("helm", "show", "chart", "--plain-http", "--version", "~0.1", "oci://"+r+"/charts/demo"), "version: 0.1.0")
	s.write("pulled/README", "helm wants the folder to be there\n")
	s.run("helm", "pull", "--plain-http", "--version", "0.1.0", "--destination", "pulled", "oci://"+r+"/charts/demo")
	equal(t, s.read("pulled/demo-0.1.0.tgz"), s.read("demo-0.1.0.tgz"))
	s.fails("helm", "pull", "--plain-http", "--version", "9.9.9", "oci://"+r+"/charts/demo")
}
