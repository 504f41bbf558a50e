"""The live console: watches clusters, shows them and passes on what operators ask; decides nothing itself."""
