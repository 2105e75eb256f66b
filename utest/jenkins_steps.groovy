// Runs a Jenkinsfile with the directives and steps that it uses, and prints each step as a line of JSON.
import groovy.json.JsonOutput

def names = new Binding()
def step = { String name -> { Object... arguments -> println JsonOutput.toJson([name, arguments as List]) } }
def block = { Object... arguments -> arguments[-1].call() }
names.setVariable('params', System.getenv().subMap(['SUITES', 'OPTIONS', 'KUBECONFIGS']))
names.setVariable('any', 'any')
for (name in ['pipeline', 'parameters', 'options', 'stages', 'stage', 'steps', 'script', 'post', 'always']) {
  names.setVariable(name, block)
}
for (name in ['agent', 'string', 'text', 'timeout', 'disableConcurrentBuilds', 'sh', 'robot', 'junit']) {
  names.setVariable(name, step(name))
}
names.setVariable('file', { Map credential -> credential })
for (name in ['withCredentials', 'withEnv']) {
  def said = step(name)
  names.setVariable(name, { List given, Closure body -> said(*given); body() })
}
new GroovyShell(names).evaluate(new File(args[0]))
